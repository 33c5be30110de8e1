"""What the softmax says of each pixel, for any finite logits and without a copy of them all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Logits handled at once: 4 MiB in float32, which stays in a processor's cache.
_STRIP = 2**20
# The exponential of this is 0 in float32, and its product with 0 is still 0, not NaN.
_LOWEST_LOG = -104.0


def softmax_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax of B,C,H,W logits: B,H,W, in nats, between 0 and log C."""

    def entropy(strip: Tensor) -> Tensor:
        logs = strip.log_softmax(0).clamp_(min=_LOWEST_LOG)
        return logs.exp().mul_(logs).sum(0).neg_()

    return _by_rows(entropy, logits, score_dtype(logits))


def largest_probability(logits: Tensor) -> Tensor:
    """The probability of the best of B,C,H,W classes: B,H,W, between 1/C and 1."""
    return _by_rows(lambda strip: strip.softmax(0).amax(0), logits, score_dtype(logits))


def top_two_gap(logits: Tensor) -> Tensor:
    """By how much the best class is more probable than the second best: B,H,W in [0, 1]."""

    def gap(strip: Tensor) -> Tensor:
        first, second, *others = strip.softmax(0)
        best, runner_up = torch.maximum(first, second), torch.minimum(first, second)
        for probability in others:
            runner_up = torch.maximum(runner_up, torch.minimum(best, probability))
            best = torch.maximum(best, probability)
        return best - runner_up

    return _by_rows(gap, logits, score_dtype(logits))


def predicted_classes(logits: Tensor) -> Tensor:
    """The class of the largest of B,C,H,W logits, the first of equals: B,H,W, int16."""
    num_classes = logits.shape[1]
    # The first class is worth the most, so the largest worth among the best is the first of them;
    # several times faster on a processor than an argmax over classes.
    worth = torch.arange(num_classes, 0, -1, dtype=torch.int16, device=logits.device)

    def first_best(strip: Tensor) -> Tensor:
        best = strip == strip.amax(0)
        return num_classes - (best * worth[:, None, None]).amax(0)

    return _by_rows(first_best, logits, torch.int16)


def score_dtype(logits: Tensor) -> torch.dtype:
    """The type to compute and to return scores in: float32, or float64 for such logits."""
    return torch.promote_types(logits.dtype, torch.float32)


def _by_rows(function: Callable[[Tensor], Tensor], logits: Tensor, dtype: torch.dtype) -> Tensor:
    """Apply a function of C,h,W logits that gives h,W to strips of rows of B,C,H,W."""
    images, classes, height, width = logits.shape
    result = torch.empty((images, height, width), dtype=dtype, device=logits.device)
    rows = max(1, _STRIP // (classes * width))
    for image, target in zip(logits.detach(), result, strict=True):
        for top in range(0, height, rows):
            strip = image[:, top : top + rows].to(score_dtype(logits))
            target[top : top + rows] = function(strip)
    return result

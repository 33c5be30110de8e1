"""What the softmax says of each pixel, for any finite logits and without a copy of them all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Logits handled at once: on a processor 4 MiB in float32, which stays in its cache; on an
# accelerator so many that starting the kernels is not what takes the time.
_STRIP = 2**20
_STRIP_OF_ACCELERATOR = 2**24
# The exponential of this is 0 in float32, and its product with 0 is still 0, not NaN.
_LOWEST_LOG = -104.0


def softmax_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax of B,C,H,W logits: B,H,W, in nats, between 0 and log C.

    With x the logits less their maximum and Z = Σ exp x, this is log Z - Σ x exp x / Z: one
    exponential a logit, where -Σ p log p takes two, and a sum in which fewer roundings add up.
    """

    def entropy(strip: Tensor, shifted: Tensor, exponentials: Tensor) -> Tensor:
        torch.sub(strip, strip.amax(0), out=shifted).clamp_(min=_LOWEST_LOG)
        total = torch.exp(shifted, out=exponentials).sum(0)
        return total.log() - exponentials.mul_(shifted).sum(0).div_(total)

    return _by_rows(entropy, logits, score_dtype(logits))


def largest_probability(logits: Tensor) -> Tensor:
    """The probability of the best of B,C,H,W classes: B,H,W, between 1/C and 1."""

    def largest(strip: Tensor, probabilities: Tensor, _: Tensor) -> Tensor:
        return torch.softmax(strip, 0, out=probabilities).amax(0)

    return _by_rows(largest, logits, score_dtype(logits))


def top_two_gap(logits: Tensor) -> Tensor:
    """By how much the best class is more probable than the second best: B,H,W in [0, 1]."""

    def gap(strip: Tensor, probabilities: Tensor, _: Tensor) -> Tensor:
        first, second, *others = torch.softmax(strip, 0, out=probabilities)
        best, runner_up = torch.maximum(first, second), torch.minimum(first, second)
        for probability in others:
            runner_up = torch.maximum(runner_up, torch.minimum(best, probability))
            best = torch.maximum(best, probability)
        return best - runner_up

    return _by_rows(gap, logits, score_dtype(logits))


def predicted_classes(logits: Tensor) -> Tensor:
    """The class of the largest of B,C,H,W logits, the first of equals: B,H,W integers."""
    num_classes = logits.shape[1]
    # The first class is worth the most, so the largest worth among the best is the first of them;
    # several times faster on a processor than an argmax over classes. The comparison is written as
    # numbers, since torch compares into booleans one pixel at a time.
    worth = torch.arange(num_classes, 0, -1, dtype=score_dtype(logits), device=logits.device)

    def first_best(strip: Tensor, best: Tensor, _: Tensor) -> Tensor:
        torch.eq(strip, strip.amax(0), out=best)
        return num_classes - best.mul_(worth[:, None, None]).amax(0)

    narrow = num_classes <= torch.iinfo(torch.int16).max
    return _by_rows(first_best, logits, torch.int16 if narrow else torch.int32)


def score_dtype(logits: Tensor) -> torch.dtype:
    """The type to compute and to return scores in: float32, or float64 for such logits."""
    return torch.promote_types(logits.dtype, torch.float32)


def _by_rows(
    function: Callable[[Tensor, Tensor, Tensor], Tensor], logits: Tensor, dtype: torch.dtype
) -> Tensor:
    """Apply a function of C,h,W logits that gives h,W to strips of rows of B,C,H,W.

    The function is handed two tensors of the strip's shape to write to: memory that is taken anew
    for every strip costs a processor more than what is computed in it.
    """
    images, classes, height, width = logits.shape
    result = torch.empty((images, height, width), dtype=dtype, device=logits.device)
    size = _STRIP if logits.device.type == "cpu" else _STRIP_OF_ACCELERATOR
    rows = max(1, size // max(1, classes * width))
    scratch = logits.new_empty((2, classes * min(rows, height) * width), dtype=score_dtype(logits))
    for image, target in zip(logits.detach(), result, strict=True):
        for top in range(0, height, rows):
            # The classes of a pixel may lie next to one another (channels-last): a copy is faster.
            strip = image[:, top : top + rows].to(
                scratch.dtype, memory_format=torch.contiguous_format
            )
            first, second = scratch[:, : strip.numel()].view(2, *strip.shape)
            target[top : top + rows] = function(strip, first, second)
    return result

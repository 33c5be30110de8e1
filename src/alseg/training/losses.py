"""Losses that need no further labels, as pure functions of logits."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from alseg.models.prediction import at_least_float32

LOG_EPSILON = 1e-6
"""What the published program adds inside the logarithm of negative learning."""


def local_consistency_loss(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int = 255,
    where: Literal["boundary", "all"] = "boundary",
    valid: Tensor | None = None,
) -> Tensor:
    """Pull the prediction of a pixel towards the mean prediction of its 3×3 neighbourhood.

    The l1 distance between a pixel's class probabilities and their 3×3 mean (edges replicated),
    summed over the classes and averaged over the pixels that count. Under ``boundary`` these are
    the labelled pixels whose 8-neighbour Laplacian of the label ids is not 0, where the label
    outside the image and of the neighbours is taken as it is: 0 and ``ignore_index``.

    Computed in float32 under autocast too.

    Args:
        logits: B×C×H×W.
        labels: B×H×W integer ids.
        ignore_index: The id of pixels that have no label.
        where: ``boundary`` for the pixels at class boundaries, ``all`` for every labelled pixel.
        valid: B×H×W bool, False beside an image: pixels whose neighbourhood reaches there do not
            count. None counts all.

    Returns:
        A scalar; 0 with a gradient of 0 when no pixel counts.

    Raises:
        ValueError: ``where`` is neither of the two.

    Source:
        Xie et al., RIPU, CVPR 2022 (arXiv 2111.12940), and its published program.
    """
    if where not in ("boundary", "all"):
        raise ValueError(f"where is {where!r}; choose 'boundary' or 'all'.")
    counts = labels != ignore_index
    if where == "boundary":
        counts = counts & _at_boundary(labels)
    if valid is not None:
        beside = functional.max_pool2d(
            (~valid)[:, None].float(), kernel_size=3, stride=1, padding=1
        )
        counts = counts & (beside[:, 0] == 0)
    with torch.autocast(logits.device.type, enabled=False):
        probabilities = at_least_float32(logits).softmax(1)
        padded = functional.pad(probabilities, (1, 1, 1, 1), mode="replicate")
        mean = functional.avg_pool2d(padded, kernel_size=3, stride=1)
        distance = (probabilities - mean).abs().sum(1)
        return (distance * counts).sum() / counts.sum().clamp(min=1)


def negative_learning_loss(
    logits: Tensor, threshold: float = 0.05, valid: Tensor | None = None
) -> Tensor:
    """Push the improbable classes of every pixel further down.

    The mean of ``-log(1 - p)`` over all the class probabilities p below the threshold; which of
    them are below is not differentiated. Computed in float32 under autocast too.

    Args:
        logits: B×C×H×W.
        threshold: Probability, in (0, 1), below which a class counts as absent.
        valid: B×H×W bool, False beside an image, where nothing counts. None counts all pixels.

    Returns:
        A scalar; 0 with a gradient of 0 when no probability is below the threshold.

    Source:
        Xie et al., RIPU, CVPR 2022 (arXiv 2111.12940), and its published program.
    """
    with torch.autocast(logits.device.type, enabled=False):
        probabilities = at_least_float32(logits).softmax(1)
        absent = probabilities < threshold
        if valid is not None:
            absent = absent & valid[:, None]
        penalty = -torch.log(1 - probabilities + LOG_EPSILON)
        return (penalty * absent).sum() / absent.sum().clamp(min=1)


def _at_boundary(labels: Tensor) -> Tensor:
    """Return where the 8-neighbour Laplacian of B×H×W ids is not 0, zeros outside the image."""
    # Integer sums: a convolution would run in bfloat16 under autocast and round the ids.
    ids = labels.to(torch.int32)
    padded = functional.pad(ids, (1, 1, 1, 1))
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    window = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    return 9 * ids != window

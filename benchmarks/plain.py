"""The same scores and picks as one would write them from the papers: what alseg is measured by.

Every function takes B,C,H,W logits and gives B,H,W scores. Windows are convolutions with a kernel
of ones, whose zeros beyond the border drop out of sums and counts alike.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def random(logits: Tensor) -> Tensor:
    """Uniform scores."""
    return torch.rand_like(logits[:, 0])


def entropy(logits: Tensor) -> Tensor:
    """-Σ p log p / log C."""
    probabilities = logits.softmax(1)
    return -(probabilities * torch.log(probabilities + 1e-6)).sum(1) / math.log(logits.shape[1])


def margin(logits: Tensor) -> Tensor:
    """1 - (p₁ - p₂)."""
    best = logits.softmax(1).topk(2, dim=1).values
    return 1 - (best[:, 0] - best[:, 1])


def least_confidence(logits: Tensor) -> Tensor:
    """1 - p₁."""
    return 1 - logits.softmax(1).amax(1)


def ripu(logits: Tensor, radius: int, contiguous: bool = False) -> Tensor:
    """Region impurity times prediction uncertainty (arXiv 2111.12940, equations 2 to 4).

    With `contiguous` the one-hot classes are laid out plane by plane before the convolution.
    """
    classes = logits.shape[1]
    one_hot = F.one_hot(logits.softmax(1).argmax(1), classes).permute(0, 3, 1, 2).float()
    histogram = _window_sum(one_hot.contiguous() if contiguous else one_hot, radius)
    count = histogram.sum(1, keepdim=True)
    shares = histogram / count
    impurity = -(shares * torch.log(shares + 1e-6)).sum(1) / math.log(classes)
    uncertainty = _window_sum(entropy(logits)[:, None], radius) / count
    return impurity * uncertainty[:, 0]


def halo(logits: Tensor, hyperbolic_radius: Tensor, radius: int) -> Tensor:
    """Variance of the hyperbolic radius times prediction uncertainty (arXiv 2306.11180)."""
    count = _window_sum(torch.ones_like(logits[:, :1]), radius)
    maps = hyperbolic_radius[:, None]
    mean = _window_sum(maps, radius) / count
    variance = _window_sum(maps.square(), radius) / count - mean.square()
    uncertainty = _window_sum(entropy(logits)[:, None], radius) / count
    return (_min_max(variance) * _min_max(uncertainty))[:, 0]


def _window_sum(maps: Tensor, radius: int) -> Tensor:
    channels, width = maps.shape[1], 2 * radius + 1
    kernel = torch.ones(channels, 1, width, width, device=maps.device)
    return F.conv2d(maps, kernel, padding=radius, groups=channels)


def _min_max(maps: Tensor) -> Tensor:
    lowest, highest = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - lowest) / (highest - lowest)


def select(score: Tensor, count: int, radius: int, exclusion: int) -> tuple[Tensor, Tensor]:
    """Pick the maximum of the whole map again and again (arXiv 2111.12940, algorithm 1).

    Of equal scores the first column goes first, then the first row.

    Returns:
        centres, N×2 (row, column), and labelled, H×W bool.
    """
    score = score.clone()
    labelled = torch.zeros_like(score, dtype=torch.bool)
    centres = []
    for _ in range(count):
        values, rows = score.max(dim=0)
        column = int(values.argmax())
        row = int(rows[column])
        if score[row, column] == -torch.inf:
            break
        for maps, reach, mark in ((labelled, radius, True), (score, exclusion, -torch.inf)):
            top, left = max(0, row - reach), max(0, column - reach)
            maps[top : row + reach + 1, left : column + reach + 1] = mark
        centres.append((row, column))
    return torch.tensor(centres).reshape(-1, 2), labelled

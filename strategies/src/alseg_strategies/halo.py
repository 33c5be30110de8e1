"""Hyperbolic active learning for segmentation under domain shift (HALO)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import score_dtype, softmax_entropy
from alseg_strategies.strategy import Strategy, check_choice, check_radius
from alseg_strategies.windows import (
    window_count,
    window_entropy,
    window_mean,
    window_sum,
    window_variance,
)


@dataclass(frozen=True)
class HALO(Strategy):
    """Hyperbolic radius times uncertainty (Franco et al., arXiv 2306.11180).

    The uncertainty is the softmax entropy / log C, averaged over the window around a pixel. What
    is read from the radius, the distance of a pixel's embedding from the origin, is the `term`:

    - "variance": its variance in the window.
    - "impurity": the paper's first version (2023). The radius, min-max normalised and flipped,
      falls into `bins` bins; the term is the entropy of the bins in the 3×3 window / log bins.
    - "radius": the published version (ICML 2024), the radius itself.

    Attributes:
        radius: Window radius in pixels; not to be mixed up with the hyperbolic radius.
        term: "variance", "impurity" or "radius".
        uncertainty: False leaves the uncertainty out of the product.
        normalize: Min-max normalise each factor per image, as the paper does.
        bins: Number of bins of the term "impurity", 2 or more.
    """

    requires = frozenset({"logits", "radius"})
    level = "region"

    radius: int = 1
    term: Literal["variance", "impurity", "radius"] = "variance"
    uncertainty: bool = True
    normalize: bool = True
    bins: int = 100

    def __post_init__(self) -> None:
        check_radius("halo", self.radius)
        check_choice("halo", "term", self.term, ("variance", "impurity", "radius"))
        if isinstance(self.bins, bool) or not isinstance(self.bins, int) or self.bins < 2:
            raise ValueError(f"halo: bins is {self.bins!r}; it must be a whole number, 2 or more")

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Score B,H,W; between 0 and 1 unless `normalize` is False."""
        self.check(signals)
        assert signals.radius is not None
        score = self._scale(self._term(signals.radius.detach()))
        if self.uncertainty:
            score = score * self._scale(self._uncertainty(signals.logits))
        return score.to(score_dtype(signals.logits))

    def exclusion_radius(self, radius: int) -> int:
        """5, as published, since scores this smooth are otherwise picked in heaps."""
        return max(5, radius)

    def _term(self, radius: Tensor) -> Tensor:
        if self.term == "variance":
            return window_variance(radius, self.radius)
        radius = radius.to(torch.promote_types(radius.dtype, torch.float32))
        if self.term == "radius":
            return radius
        flipped = 1 - min_max(radius)
        bins = (flipped * self.bins).floor().clamp(max=self.bins - 1).to(torch.int32)
        return window_entropy(bins, self.bins, radius=1) / math.log(self.bins)

    def _uncertainty(self, logits: Tensor) -> Tensor:
        entropy = softmax_entropy(logits) / math.log(logits.shape[1])
        if self.term != "impurity":
            return window_mean(entropy, self.radius)
        # The program of the first version divides by the pixels of the clipped 3×3 window
        # whatever the radius, so beyond radius 1 regions at the border count for less.
        height, width = entropy.shape[-2:]
        share = window_count(height, width, 1).to(entropy) / 9
        return window_sum(entropy, self.radius) / (share * (2 * self.radius + 1) ** 2)

    def _scale(self, factor: Tensor) -> Tensor:
        return min_max(factor) if self.normalize else factor


def min_max(maps: Tensor) -> Tensor:
    """Scale each map of B,H,W to the range from 0 to 1; a constant map becomes all 1.

    A factor that is the same everywhere then leaves the product to the other factor. Constant is
    what differs by rounding errors only, which must not be blown up to a map of their own.
    """
    lowest = maps.amin((-2, -1), keepdim=True)
    highest = maps.amax((-2, -1), keepdim=True)
    span = highest - lowest
    rounding = 16 * torch.finfo(maps.dtype).eps * torch.maximum(lowest.abs(), highest.abs())
    constant = span <= rounding
    return torch.where(constant, 1.0, (maps - lowest) / torch.where(constant, 1.0, span))

"""Region impurity and prediction uncertainty (RIPU)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import predicted_classes, score_dtype, softmax_entropy
from alseg_strategies.strategy import Strategy, check_choice, check_radius
from alseg_strategies.windows import window_entropy, window_mean


@dataclass(frozen=True)
class RIPU(Strategy):
    """Impurity times uncertainty (Xie et al., CVPR 2022, arXiv 2111.12940, equations 2 to 4).

    The impurity is the entropy of the predicted classes in the window around a pixel. The
    uncertainty is the entropy of the softmax: in region mode its mean over the same window, both
    divided by log C; in pixel mode that of the pixel alone, both in nats.

    Attributes:
        radius: Window radius in pixels. The paper has 1 in region mode, 32 in pixel mode.
        mode: "region" or "pixel".
        impurity: False leaves the impurity out of the product.
        uncertainty: False leaves the uncertainty out of the product.
    """

    radius: int = 1
    mode: Literal["region", "pixel"] = "region"
    impurity: bool = True
    uncertainty: bool = True

    def __post_init__(self) -> None:
        check_radius("ripu", self.radius)
        check_choice("ripu", "mode", self.mode, ("region", "pixel"))
        object.__setattr__(self, "level", self.mode)

    def exclusion_radius(self, radius: int) -> int:
        """2 radius; in pixel mode as far as the impurity looks, in the paper 32."""
        return max(self.radius, 2 * radius) if self.mode == "pixel" else 2 * radius

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Score B,H,W: 0 where the window holds one class or the prediction is certain."""
        self.check(signals)
        logits = signals.logits
        num_classes = logits.shape[1]
        unit = math.log(num_classes) if self.mode == "region" else 1.0
        score = torch.ones_like(logits[:, 0], dtype=score_dtype(logits))
        if self.impurity:
            classes = predicted_classes(logits)
            score *= window_entropy(classes, num_classes, self.radius) / unit
        if self.uncertainty:
            entropy = softmax_entropy(logits)
            if self.mode == "region":
                entropy = window_mean(entropy, self.radius)
            score *= entropy / unit
        return score

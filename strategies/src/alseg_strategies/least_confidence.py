"""Probability of the best class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import largest_probability
from alseg_strategies.strategy import Strategy


@dataclass(frozen=True)
class LeastConfidence(Strategy):
    """1 - p₁ of the largest class probability p₁."""

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Score B,H,W between 0 (certain) and 1 - 1/C (all classes alike)."""
        self.check(signals)
        return 1 - largest_probability(signals.logits)

"""Best versus second best class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import top_two_gap
from alseg_strategies.strategy import Strategy


@dataclass(frozen=True)
class Margin(Strategy):
    """1 - (p₁ - p₂) of the two largest class probabilities p₁ >= p₂."""

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Score B,H,W between 0 (certain) and 1 (the two best classes alike)."""
        self.check(signals)
        return 1 - top_two_gap(signals.logits)

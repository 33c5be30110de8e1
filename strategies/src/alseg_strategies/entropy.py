"""Entropy of the prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import softmax_entropy
from alseg_strategies.strategy import Strategy


@dataclass(frozen=True)
class Entropy(Strategy):
    """-Σ p log p / log C of the softmax p over C classes."""

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Score B,H,W between 0 (certain) and 1 (all classes alike)."""
        self.check(signals)
        entropy = softmax_entropy(signals.logits) / math.log(signals.logits.shape[1])
        # Rounding takes the quotient above 1 where all classes are alike.
        return entropy.clamp_(max=1)

"""Random pixels: what every other strategy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import score_dtype
from alseg_strategies.strategy import Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Independent uniform scores."""

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Draw B,H,W scores from [0, 1), image after image.

        Without a generator, torch's global one is used. The numbers are drawn on the generator's
        device, so that the same seed gives the same scores wherever the logits are.
        """
        self.check(signals)
        logits = signals.logits
        scores = torch.empty_like(logits[:, 0], dtype=score_dtype(logits))
        device = torch.device("cpu") if generator is None else generator.device
        for image in scores:
            image.copy_(torch.rand(image.shape, generator=generator, device=device))
        return scores

"""How far a network and its teacher disagree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from alseg_strategies.signals import Signals
from alseg_strategies.softmax import score_dtype
from alseg_strategies.strategy import Strategy


@dataclass(frozen=True)
class TeacherDisagreement(Strategy):
    """Jensen-Shannon divergence of the softmax p and that of the teacher q, / log 2.

    H((p + q) / 2) - (H(p) + H(q)) / 2, with H the entropy (Lin, IEEE Trans. Inf. Theory 1991).
    """

    requires = frozenset({"logits", "teacher_logits"})

    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Score B,H,W between 0 (the same prediction) and 1 (each certain of another class)."""
        self.check(signals)
        assert signals.teacher_logits is not None
        pairs = zip(signals.logits.detach(), signals.teacher_logits.detach(), strict=True)
        # Image by image: two maps of probabilities at a time.
        return torch.stack([_divergence(own, taught) for own, taught in pairs])


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    dtype = torch.promote_types(score_dtype(one), score_dtype(other))
    p, q = one.to(dtype).softmax(0), other.to(dtype).softmax(0)
    apart = torch.zeros_like(p[0])
    for own, taught in zip(p, q, strict=True):
        mean = (own + taught) / 2
        apart += (torch.xlogy(own, own) + torch.xlogy(taught, taught)) / 2
        apart -= torch.xlogy(mean, mean)
    return apart.div_(math.log(2)).clamp_(0, 1)

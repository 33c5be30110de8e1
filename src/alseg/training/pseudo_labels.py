"""The loss of pseudo-labels: what a teacher is sure of teaches the network on a strong view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from alseg.data.label_space import IGNORE
from alseg.training.step import LossTerm, Step
from alseg.training.u2pl import unsupervised_loss
from alseg.training.unlabelled import STRONG


class PseudoLabels(LossTerm):
    """Cross-entropy of the student on a mixed strong view against a teacher's reliable classes.

    Asked pixels keep their answers, which are always reliable.

    Args:
        weight: The factor with which the term enters the sum.
        unreliable: Per cent of the pixels, alpha, that the teacher is taken to be unsure of at the
            start; it falls linearly to 0 at the end of the training.
        confidence: Instead, the least probability of the teacher's class; 0 goes by ``unreliable``.

    Source:
        U2PL (arXiv 2203.03884), section 3.2; CutMix as there.
    """

    name: ClassVar[str] = "pseudo"
    domains: ClassVar[tuple[str, ...]] = ("target",)
    views: ClassVar[Mapping[str, Mapping[str, str]]] = {"target": {STRONG: "strong"}}
    needs_teacher: ClassVar[bool] = True

    def __init__(
        self, weight: float = 1.0, unreliable: float = 20.0, confidence: float = 0.0
    ) -> None:
        super().__init__(weight)
        self.unreliable = unreliable
        self.confidence = confidence

    def forward(self, step: Step) -> Tensor:
        """Return the mean over the reliable pixels, times all pixels / reliable pixels."""
        mixed = step.mixed
        pseudo_labels, percentile = mixed.pseudo_labels, 100 - step.share_left * self.unreliable
        if self.confidence:
            sure = mixed.taught.softmax(1).amax(1) >= self.confidence
            pseudo_labels = torch.where(sure, pseudo_labels, IGNORE)
            percentile = 100.0
        return unsupervised_loss(mixed.logits, mixed.taught, pseudo_labels, percentile)

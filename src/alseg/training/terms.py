"""The loss of a training step as a sum of named, weighted terms."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from alseg.config.protocols import Protocol
from alseg.data.label_space import IGNORE
from alseg.training.losses import local_consistency_loss, negative_learning_loss


class View(NamedTuple):
    """What a step computed for one domain.

    Attributes:
        logits: B×C×H×W, on the training grid.
        labels: B×H×W train ids; 255 where a pixel has no label or nobody was asked for it.
    """

    logits: Tensor
    labels: Tensor


class LossTerm(nn.Module):
    """One summand of the training loss.

    A term is a module, so that one that carries state (a teacher, a memory per class) has it
    saved, moved between devices and restored with the network.

    Attributes:
        name: What the term is called in logs.
        domain: The domain, ``source`` or ``target``, whose view the term looks at.
        weight: The factor with which the term enters the sum.
    """

    name: str
    domain: str

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, view: View) -> Tensor:
        """Return the unweighted value of the term, a scalar connected to ``view.logits``."""
        raise NotImplementedError


class SourceCrossEntropy(LossTerm):
    """Cross-entropy on the labelled source pixels."""

    name = "source"
    domain = "source"

    def forward(self, view: View) -> Tensor:
        """Return the mean over the labelled pixels."""
        return masked_cross_entropy(view.logits, view.labels)


class TargetCrossEntropy(LossTerm):
    """Cross-entropy on the target pixels that were asked for."""

    name = "target"
    domain = "target"

    def forward(self, view: View) -> Tensor:
        """Return the mean over the asked-for pixels."""
        return masked_cross_entropy(view.logits, view.labels)


class SourceConsistency(LossTerm):
    """Local consistency of the source predictions at class boundaries (RIPU, eq. 6)."""

    name = "consistency"
    domain = "source"

    def forward(self, view: View) -> Tensor:
        """Return the mean distance of a boundary pixel's prediction to that of its window."""
        return local_consistency_loss(view.logits, view.labels)


class TargetNegativeLearning(LossTerm):
    """Negative learning on the target predictions (RIPU, eq. 7).

    Args:
        weight: The factor with which the term enters the sum.
        threshold: Classes of a smaller probability are taken as wrong.
    """

    name = "negative"
    domain = "target"

    def __init__(self, weight: float, threshold: float) -> None:
        super().__init__(weight)
        self.threshold = threshold

    def forward(self, view: View) -> Tensor:
        """Return the mean of −log(1 − p) over the classes taken as wrong."""
        return negative_learning_loss(view.logits, threshold=self.threshold)


def build_terms(
    protocol: Protocol,
    *,
    source_weight: float,
    target_weight: float,
    consistency_weight: float,
    negative_weight: float,
    negative_threshold: float,
) -> list[LossTerm]:
    """Return the terms that a protocol sums; those of weight 0 are left out."""
    terms: list[LossTerm] = [
        SourceCrossEntropy(source_weight),
        TargetCrossEntropy(target_weight),
        SourceConsistency(consistency_weight),
        TargetNegativeLearning(negative_weight, negative_threshold),
    ]
    return [term for term in terms if term.name in protocol.terms and term.weight]


def masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the pixels that have a label.

    Args:
        logits: B×C×H×W.
        labels: B×H×W train ids; 255 has no label.

    Returns:
        A scalar in float32; 0 with a gradient of 0 when no pixel has a label, which is what an
        image gives that nobody was asked about yet.
    """
    total = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="sum")
    return total / torch.clamp((labels != IGNORE).sum(), min=1)

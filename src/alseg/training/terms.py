"""The loss of a training step as a sum of named, weighted terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from alseg.config.protocols import Protocol
from alseg.data.label_space import IGNORE
from alseg.errors import ConfigError, did_you_mean
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

    What a term is constructed with are its settings, each with a default: ``weight`` of the term
    ``negative`` is called ``negative_weight`` in the settings of a run.

    A term is a module, so that one that carries state (a teacher, a memory per class) has it
    saved, moved between devices and restored with the network.

    Attributes:
        name: What the term is called in logs.
        domain: The domain, ``source`` or ``target``, whose view the term looks at.
        weight: The factor with which the term enters the sum.
    """

    name: str
    domain: str

    def __init__(self, weight: float = 1.0) -> None:
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

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__(weight)

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

    def __init__(self, weight: float = 1.0, threshold: float = 0.05) -> None:
        super().__init__(weight)
        self.threshold = threshold

    def forward(self, view: View) -> Tensor:
        """Return the mean of −log(1 − p) over the classes taken as wrong."""
        return negative_learning_loss(view.logits, threshold=self.threshold)


TERMS: tuple[type[LossTerm], ...] = (
    SourceCrossEntropy,
    TargetCrossEntropy,
    SourceConsistency,
    TargetNegativeLearning,
)
"""The terms that a protocol can name, in the order in which they are summed."""


def loss_settings(given: Mapping[str, float]) -> dict[str, float]:
    """Return the settings of all terms by their names, such as ``consistency_weight``.

    Args:
        given: The settings that differ from their defaults.

    Raises:
        ConfigError: No term has a setting of that name.
    """
    defaults = {
        f"{term.name}_{parameter.name}": parameter.default
        for term in TERMS
        for parameter in signature(term).parameters.values()
    }
    for name in given:
        if name not in defaults:
            raise ConfigError(
                f"No loss term has a setting {name!r}.{did_you_mean(name, defaults)} "
                f"Known are: {', '.join(defaults)}."
            )
    return {**defaults, **given}


def build_terms(protocol: Protocol, settings: Mapping[str, float]) -> list[LossTerm]:
    """Return the terms that a protocol sums; those of weight 0 are left out.

    Args:
        protocol: The protocol.
        settings: The settings of all terms.
    """
    terms = [
        term(**{name: settings[f"{term.name}_{name}"] for name in signature(term).parameters})
        for term in TERMS
        if term.name in protocol.terms
    ]
    return [term for term in terms if term.weight]


def check_terms(terms: Sequence[LossTerm], protocol: Protocol) -> None:
    """Check that there is a loss, and that each of its terms sees what it looks at.

    Raises:
        ConfigError: There is no term, or one looks at a domain that is not trained on.
    """
    if not terms:
        raise ConfigError(
            f"Every loss term of the protocol {protocol.name!r} has weight 0; give at least one of "
            f"{', '.join(protocol.terms)} a weight."
        )
    for term in terms:
        if term.domain not in protocol.domains:
            raise ConfigError(
                f"The loss term {term.name} looks at the {term.domain}, which the protocol "
                f"{protocol.name} does not train on; leave it out of configure_losses."
            )


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

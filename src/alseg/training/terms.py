"""The loss of a training step as a sum of named, weighted terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature

import torch
from torch import Tensor, nn
from torch.nn import functional

from alseg.config.protocols import Protocol
from alseg.data.label_space import IGNORE
from alseg.data.transforms import check_augmentation
from alseg.errors import ConfigError, did_you_mean
from alseg.training.contrast import Contrast
from alseg.training.losses import local_consistency_loss, negative_learning_loss
from alseg.training.pseudo_labels import PseudoLabels
from alseg.training.step import LossTerm, Step
from alseg.training.unlabelled import LEARNT


class SourceCrossEntropy(LossTerm):
    """Cross-entropy on the labelled source pixels."""

    name = "source"
    domains = ("source",)

    def forward(self, step: Step) -> Tensor:
        """Return the mean over the labelled pixels."""
        return masked_cross_entropy(step["source"].logits, step["source"].labels)


class TargetCrossEntropy(LossTerm):
    """Cross-entropy on the target pixels that were asked for."""

    name = "target"
    domains = ("target",)

    def forward(self, step: Step) -> Tensor:
        """Return the mean over the asked-for pixels."""
        return masked_cross_entropy(step["target"].logits, step["target"].labels)


class SourceConsistency(LossTerm):
    """Local consistency of the source predictions at class boundaries (RIPU, eq. 6)."""

    name = "consistency"
    domains = ("source",)

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__(weight)

    def forward(self, step: Step) -> Tensor:
        """Return the mean distance of a boundary pixel's prediction to that of its window."""
        source = step["source"]
        return local_consistency_loss(source.logits, source.labels, valid=source.valid)


class TargetNegativeLearning(LossTerm):
    """Negative learning on the target predictions (RIPU, eq. 7).

    Args:
        weight: The factor with which the term enters the sum.
        threshold: Classes of a smaller probability are taken as wrong.
    """

    name = "negative"
    domains = ("target",)

    def __init__(self, weight: float = 1.0, threshold: float = 0.05) -> None:
        super().__init__(weight)
        self.threshold = threshold

    def forward(self, step: Step) -> Tensor:
        """Return the mean of −log(1 − p) over the classes taken as wrong."""
        target = step["target"]
        return negative_learning_loss(target.logits, self.threshold, target.valid)


TERMS: tuple[type[LossTerm], ...] = (
    SourceCrossEntropy,
    TargetCrossEntropy,
    SourceConsistency,
    TargetNegativeLearning,
    PseudoLabels,
    Contrast,
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


def build_terms(
    protocol: Protocol, settings: Mapping[str, float], unlabelled: str = "none"
) -> list[LossTerm]:
    """Return the terms that a protocol sums; those of weight 0 are left out.

    Args:
        protocol: The protocol.
        settings: The settings of all terms.
        unlabelled: What is learnt from target pixels that nobody was asked about.

    Raises:
        ConfigError: The protocol knows no such pixels.
    """
    if unlabelled != "none" and not protocol.active:
        raise ConfigError(
            f"unlabelled is {unlabelled!r}, and the protocol {protocol.name!r} has no target "
            "pixels that nobody was asked about; use source_target, source_free or target_only, "
            "or leave it out."
        )
    names = (*protocol.terms, *LEARNT[unlabelled])
    terms = [
        term(**{name: settings[f"{term.name}_{name}"] for name in signature(term).parameters})
        for term in TERMS
        if term.name in names
    ]
    return [term for term in terms if term.weight]


def check_terms(terms: Sequence[LossTerm], protocol: Protocol) -> None:
    """Check that there is a loss, and that each of its terms sees what it looks at.

    Raises:
        ConfigError: There is no term, two have one name, one looks at a domain that is not trained
            on, or asks for a view that cannot be made.
    """
    if not terms:
        raise ConfigError(
            f"Every loss term of the protocol {protocol.name!r} has weight 0; give at least one of "
            f"{', '.join(protocol.terms)} a weight."
        )
    names = [term.name for term in terms]
    for term in terms:
        # What torch cannot keep in a ModuleDict: its own attributes, and names with dots.
        if not term.name or "." in term.name or hasattr(nn.ModuleDict(), term.name):
            raise ConfigError(
                f"A loss term is called {term.name!r}, which PyTorch cannot save state under; "
                f"give {type(term).__name__} another name, without dots."
            )
        if names.count(term.name) > 1:
            raise ConfigError(
                f"{names.count(term.name)} loss terms are called {term.name}; give each a name of "
                "its own."
            )
        for domain in (*term.domains, *term.views):
            if domain not in protocol.domains:
                raise ConfigError(
                    f"The loss term {term.name} looks at the {domain}, which the protocol "
                    f"{protocol.name} does not train on; leave it out of configure_losses."
                )
    views_of(terms)


def views_of(terms: Iterable[LossTerm]) -> dict[str, dict[str, str]]:
    """Return the views that terms ask for: of a domain, by name the augmentation of each.

    Terms that ask for a view of one name look at the same view.

    Raises:
        ConfigError: There is no such augmentation, or two terms ask for other ones.
    """
    views: dict[str, dict[str, str]] = {}
    for term in terms:
        for domain, asked in term.views.items():
            known = views.setdefault(domain, {})
            for name, strength in asked.items():
                try:
                    check_augmentation(strength)
                except ConfigError as error:
                    raise ConfigError(
                        f"The loss term {term.name} asks for the view {name!r} of the {domain}: "
                        f"{error}"
                    ) from error
                if known.setdefault(name, strength) != strength:
                    raise ConfigError(
                        f"The loss term {term.name} asks for the view {name!r} of the {domain} "
                        f"with the augmentation {strength!r}, another term with {known[name]!r}; "
                        "give one of the two another name."
                    )
    return views


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

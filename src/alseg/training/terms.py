"""The loss of a training step as a sum of named, weighted terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from alseg.config.protocols import Protocol
from alseg.data.label_space import IGNORE
from alseg.data.transforms import check_augmentation
from alseg.data.views import View
from alseg.errors import ConfigError, did_you_mean
from alseg.models import Segmenter
from alseg.training.losses import local_consistency_loss, negative_learning_loss


@dataclass(frozen=True)
class DomainStep(View):
    """What a step trains on of one domain, and what the network made of it.

    Attributes:
        logits: B×C×h×w, on the grid of the images.
        features: B×D×h'×w', the decoder's, at their own resolution.
        views: The further views of the images that terms ask for, by name; the network has not
            seen them.
    """

    logits: Tensor
    features: Tensor
    views: Mapping[str, View]


@dataclass(frozen=True)
class Step:
    """What a loss term sees of one optimiser step, or of one batch where a step takes several.

    ``step["target"]`` is ``step.target`` for those who know that it is there.

    Attributes:
        number: How many optimiser steps the training has made before this one.
        network: The network that is trained. In the mode for training, a pass moves the statistics
            of its batch normalisation.
        source: The source images; None where the protocol does not train on them.
        target: The target images; None where the protocol does not train on them.
    """

    number: int
    network: Segmenter
    source: DomainStep | None = None
    target: DomainStep | None = None

    def __getitem__(self, domain: str) -> DomainStep:
        """Return what belongs to a domain.

        Raises:
            KeyError: The step does not train on it.
        """
        found = {"source": self.source, "target": self.target}.get(domain)
        if found is None:
            raise KeyError(domain)
        return found

    def detached(self) -> Step:
        """Return the step without what its gradients are computed from."""
        source, target = (
            part and replace(part, logits=part.logits.detach(), features=part.features.detach())
            for part in (self.source, self.target)
        )
        return replace(self, source=source, target=target)


class LossTerm(nn.Module):
    """One summand of the training loss.

    What a term is constructed with are its settings, each with a default: ``weight`` of the term
    ``negative`` is called ``negative_weight`` in the settings of a run. A term of your own needs
    no setting of a run; ``configure_losses`` of a subclass of the module adds it:

    ```python
    from copy import deepcopy

    import torch
    from torch.nn import functional

    from alseg.data.views import carry
    from alseg.training.module import SegmentationModule
    from alseg.training.terms import LossTerm


    class Agreement(LossTerm):
        '''A strongly changed view is to be predicted as the image is by a slow copy.'''

        name = "agreement"
        domains = ("target",)
        views = {"target": {"strong": "strong"}}

        def prepare(self, network):
            self.teacher = deepcopy(network).requires_grad_(False).eval()

        def forward(self, step):
            target, strong = step["target"], step["target"].views["strong"]
            with torch.no_grad():
                taught = self.teacher(target.images).logits.softmax(1)
            taught, inside = carry(taught, target, strong)
            found = step.network(strong.images).logits.log_softmax(1)
            distance = functional.kl_div(found, taught, reduction="none").sum(1)
            return (distance * inside).sum() / inside.sum().clamp(min=1)

        def after_step(self, step):
            for slow, fast in zip(self.teacher.parameters(), step.network.parameters()):
                slow.lerp_(fast, 0.01)


    class WithAgreement(SegmentationModule):
        def configure_losses(self):
            return [*super().configure_losses(), Agreement(weight=0.5)]
    ```

    **State.** A term is a module: its parameters and buffers are moved between devices with the
    network, saved and resumed. They have to be there once ``prepare`` was called, since a
    checkpoint is loaded into what is there. The optimiser trains the network alone, so parameters
    of a term have ``requires_grad`` False.

    **Several processes.** Each computes the term on images of its own. Parameters are made equal
    before the first step and never again: change them only by what is equal on all processes, such
    as the network's parameters after a step. Buffers, and with them the statistics of batch
    normalisation, are sent from the first process to the others at the beginning of every step and
    before a pool is scored: what a buffer is to know from the images of all processes, gather
    first, with ``torch.distributed``. A checkpoint holds the state of the first process.

    Attributes:
        name: What the term is called in logs and checkpoints.
        domains: The domains that the term looks at: ``source``, ``target`` or both.
        views: Of a domain, the further views of its images that the term looks at: for a name
            of its choice the augmentation that makes the view, ``none``, ``light`` or ``strong``.
            All views of an image show the same crop, flipped and coloured each by its own draws.
        weight: The factor with which the term enters the sum.
    """

    name: ClassVar[str]
    domains: ClassVar[tuple[str, ...]]
    views: ClassVar[Mapping[str, Mapping[str, str]]] = MappingProxyType({})

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def prepare(self, network: Segmenter) -> None:
        """Make the state that depends on the network, such as a copy of it.

        Called when the module is built, and once more before the first step, with the weights
        that the training starts from. A checkpoint that training continues from, or that is
        opened, is loaded afterwards.

        Args:
            network: The network that is trained.
        """

    def forward(self, step: Step) -> Tensor:
        """Return the unweighted value of the term, a scalar connected to the network."""
        raise NotImplementedError

    def after_step(self, step: Step) -> None:
        """Change the state after an optimiser step, whose weights the network has by now.

        Called without gradients, once for each optimiser step, before anything is saved. Unless a
        term overrides it, nothing of a step is kept for it.

        Args:
            step: As in ``forward``, with logits and features detached; of the last batch, where a
                step takes several.
        """


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
        return local_consistency_loss(step["source"].logits, step["source"].labels)


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
        return negative_learning_loss(step["target"].logits, threshold=self.threshold)


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

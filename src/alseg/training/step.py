"""What a loss term is: a summand of the training loss that sees the whole step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

from alseg.data.views import View
from alseg.models import Prediction, Segmenter
from alseg.training.teacher import Teacher
from alseg.training.unlabelled import STRONG, Mixed, Unlabelled, show_mixed


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
        teacher: The moving average of the network, where a term needs one.
        share_left: The share of the training that is still to come, from 1 down to 0.
        unlabelled: How the student sees target images for terms that learn from unasked pixels.
    """

    number: int
    network: Segmenter
    source: DomainStep | None = None
    target: DomainStep | None = None
    teacher: Teacher | None = None
    share_left: float = 1.0
    unlabelled: Unlabelled = field(default_factory=Unlabelled)

    def __getitem__(self, domain: str) -> DomainStep:
        """Return what belongs to a domain.

        Raises:
            KeyError: The step does not train on it.
        """
        found = {"source": self.source, "target": self.target}.get(domain)
        if found is None:
            raise KeyError(domain)
        return found

    @cached_property
    def mixed(self) -> Mixed:
        """The target images strongly changed and mixed; computed once for all terms.

        The view ``strong`` of the target has to be asked for, and a teacher.
        """
        target, how = self["target"], self.unlabelled
        assert self.teacher is not None
        strong = target.views[STRONG]
        return show_mixed(self.network, self.teacher, target, strong, how.mix, how.trust)

    @cached_property
    def taught_source(self) -> Prediction:
        """What the teacher makes of the source images; computed once for all terms."""
        assert self.teacher is not None
        prediction: Prediction = self.teacher(self["source"].images)
        return prediction

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
    from torch.nn import functional

    from alseg.data.views import carry
    from alseg.training.module import SegmentationModule
    from alseg.training.step import LossTerm


    class Agreement(LossTerm):
        '''A strongly changed view is to be predicted as the teacher predicts the image.'''

        name = "agreement"
        domains = ("target",)
        views = {"target": {"strong": "strong"}}
        needs_teacher = True

        def forward(self, step):
            target, strong = step["target"], step["target"].views["strong"]
            taught = step.teacher(target.images).logits.softmax(1)
            taught, inside = carry(taught, target, strong)
            found = step.network(strong.images).logits.log_softmax(1)
            distance = functional.kl_div(found, taught, reduction="none").sum(1)
            return (distance * inside).sum() / inside.sum().clamp(min=1)


    class WithAgreement(SegmentationModule):
        def configure_losses(self):
            return [*super().configure_losses(), Agreement(weight=0.5)]
    ```

    **State.** A term is a module: its parameters and buffers are moved between devices with the
    network, saved and resumed. They have to be there once ``prepare`` was called, since a
    checkpoint is loaded into what is there. The optimiser trains the parameters of a term like the
    network's head, unless their ``requires_grad`` is False.

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
        needs_teacher: Whether the term looks at ``step.teacher``.
        weight: The factor with which the term enters the sum.
    """

    name: ClassVar[str]
    domains: ClassVar[tuple[str, ...]]
    views: ClassVar[Mapping[str, Mapping[str, str]]] = MappingProxyType({})
    needs_teacher: ClassVar[bool] = False

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

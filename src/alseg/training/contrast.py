"""The contrastive loss of U2PL: unreliable pixels as negative keys, from a queue per class."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar

import torch
from torch import Tensor, nn

from alseg.data.label_space import IGNORE
from alseg.distributed.ranks import gather_tensor
from alseg.models import Segmenter
from alseg.models.prediction import resize
from alseg.training.step import LossTerm, Step
from alseg.training.u2pl import contrastive_loss, entropy_map, negative_masks, percentile_of
from alseg.training.unlabelled import STRONG, shrink

DIMENSIONS = 256
"""Dimensions of the projected features, as published."""

LOW_RANK, HIGH_RANK = 3, 20
"""Ranks r_l and r_h of the published program, for 19 and 21 classes."""

NEW_KEYS = 256
"""Keys of a class that a step of one process adds to the queue at most."""


class Contrast(LossTerm):
    """InfoNCE between projected features of a class and keys that are certainly not of it.

    The queues hold ``queue`` keys per class in float32: with 4,096 of 256 dimensions and 19 classes
    80 MB, on the device and in every checkpoint.

    Args:
        weight: The factor with which the term enters the sum.
        unreliable: Per cent of the pixels, alpha, that the teacher is taken to be unsure of at the
            start; it falls linearly to 0 at the end of the training.
        queue: Keys kept of each class, the newest ones; 30,000 in the published program.

    Source:
        U2PL (arXiv 2203.03884), section 3.3.
    """

    name: ClassVar[str] = "contrast"
    domains: ClassVar[tuple[str, ...]] = ("target",)
    views: ClassVar[Mapping[str, Mapping[str, str]]] = {"target": {STRONG: "strong"}}
    needs_teacher: ClassVar[bool] = True

    def __init__(self, weight: float = 0.1, unreliable: float = 20.0, queue: int = 4096) -> None:
        super().__init__(weight)
        self.unreliable = unreliable
        self.queue = int(queue)

    def prepare(self, network: Segmenter) -> None:
        """Make the projection and its teacher, and empty queues."""
        channels, classes = network.head.in_channels, network.head.num_classes
        self.projection = nn.Sequential(
            nn.Conv2d(channels, DIMENSIONS, 1, bias=False),
            nn.BatchNorm2d(DIMENSIONS),
            nn.ReLU(),
            nn.Conv2d(DIMENSIONS, DIMENSIONS, 1),
        )
        self.slow = deepcopy(self.projection).requires_grad_(False)
        # Parameters, since buffers would be sent to all processes at every step.
        self.keys = _frozen(torch.zeros(classes, self.queue, DIMENSIONS))
        self.added = _frozen(torch.zeros(classes, dtype=torch.long))

    def forward(self, step: Step) -> Tensor:
        """Return the loss, after the keys of the step were added to the queues."""
        mixed, source = step.mixed, step.source
        assert mixed.prediction.features is not None
        features, taught_features = [mixed.prediction.features], [mixed.features]
        size = features[0].shape[-2:]
        probabilities = [resize(mixed.taught, size).softmax(1)]
        answers = [shrink(mixed.answers, size)]
        if source is not None:
            seen = step.taught_source
            assert seen.features is not None
            # The images of the source may have another size.
            features.insert(0, resize(source.features, size))
            taught_features.insert(0, resize(seen.features, size))
            probabilities.insert(0, resize(seen.logits, size).softmax(1))
            answers.insert(0, shrink(source.labels, size))
        labels = torch.cat(answers)
        projected = self.projection(torch.cat(features))
        with torch.no_grad():
            slow = self.slow.eval()(torch.cat(taught_features))
            known = torch.cat(probabilities)
            unknown = probabilities[-1]
            pseudo = shrink(mixed.pseudo_labels, size)
            pseudo = torch.where(labels[-len(pseudo) :] == IGNORE, pseudo, IGNORE)
            reliable, unreliable = self._sure(unknown, pseudo, step.share_left)
            self._add(labels, pseudo, known, unknown, unreliable, slow)
        count = len(labels) - len(pseudo)
        reliable_labels = torch.where(reliable, pseudo, IGNORE)
        # The answers of the mixed images are labels like those of the source.
        own = labels[count:]
        reliable_labels = torch.where(own == IGNORE, reliable_labels, own)
        filled = self.added.clamp(max=self.queue).tolist()
        negatives = {number: self.keys[number, :kept] for number, kept in enumerate(filled)}
        return contrastive_loss(projected, slow, labels[:count], reliable_labels, known, negatives)

    def _sure(self, probabilities: Tensor, pseudo: Tensor, left: float) -> tuple[Tensor, Tensor]:
        """Return which unanswered pixels the teacher is sure of, and which not, B×h×w each."""
        has_label = pseudo != IGNORE
        entropies = entropy_map(probabilities.clamp(min=1e-30).log())
        if not bool(has_label.any()):
            return has_label, has_label
        low = percentile_of(entropies[has_label], left * self.unreliable)
        high = percentile_of(entropies[has_label], 100 - left * self.unreliable)
        return has_label & (entropies <= low), has_label & (entropies >= high)

    def _add(
        self,
        labels: Tensor,
        pseudo: Tensor,
        known: Tensor,
        unknown: Tensor,
        unreliable: Tensor,
        features: Tensor,
    ) -> None:
        """Add keys of this step, of all processes, to the queues."""
        low = min(LOW_RANK, max(1, known.shape[1] - 1))
        of_labels, of_others = negative_masks(
            labels, pseudo, known, unknown, unreliable, low, HIGH_RANK
        )
        masks = of_labels
        masks[:, -len(pseudo) :] |= of_others
        rows = features.movedim(1, -1)
        classes = len(self.keys)
        found = rows.new_zeros(classes, NEW_KEYS, rows.shape[-1])
        counts = torch.zeros(classes, dtype=torch.long, device=rows.device)
        for number in range(classes):
            places = masks[number].nonzero()
            drawn = places[torch.randperm(len(places))[:NEW_KEYS].to(places.device)]
            found[number, : len(drawn)] = rows[tuple(drawn.T)]
            counts[number] = len(drawn)
        for keys, many in zip(gather_tensor(found), gather_tensor(counts), strict=True):
            for number, count in enumerate(many.tolist()):
                there = torch.arange(count, device=rows.device) + self.added[number]
                self.keys[number, there % self.queue] = keys[number, :count].to(self.keys.dtype)
                self.added[number] += count

    def after_step(self, step: Step) -> None:
        """Let the teacher's projection follow."""
        assert step.teacher is not None
        step.teacher.average(self.projection, self.slow)


def _frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)

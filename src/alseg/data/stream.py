"""The stream of training batches: what each step of a run sees, on every rank and after a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import IGNORE
from alseg.data.transforms import TrainTransform
from alseg.data.workers import one_thread

Key = tuple[int, int, int]
"""What a training sample is made from: index, seed of its augmentation, round of its labels."""


class LabelSource(Protocol):
    """Where the labels of target training images come from: a label store."""

    def label(self, image_id: str, up_to_round: int | None = None) -> NDArray[np.uint8]:
        """Return the H×W labels known after a round; 255 where nobody was asked."""


@dataclass
class TrainingSamples(Dataset[dict[str, Any]]):
    """Transformed training images of one domain.

    Attributes:
        images: The data set that the images come from.
        transform: Joint transform of image and label.
        labels: The label store that labels are read from; None reads the data set's own.
    """

    images: SegmentationDataset
    transform: TrainTransform
    labels: LabelSource | None = None

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """Return what the transform makes, and the ``round`` of the label."""
        index, seed, label_round = key
        image = self.images.image(index)
        if self.labels is None:
            label = self.images.label(index)
        elif label_round:
            label = self.labels.label(self.images.ids[index], label_round)
        else:
            label = np.full(image.shape[:2], IGNORE, dtype=np.uint8)
        return {**self.transform(image, label, seed), "round": label_round}


@dataclass
class StepSampler:
    """The keys of every batch from one step on: the same on every machine and after a restart.

    The whole domain is passed through in an order drawn anew for each pass; the ranks take turns.
    What a step sees depends on the seed and the number of the step alone, so a run that is resumed
    sees what the run that was never stopped would have seen.
    """

    count: int
    batch_size: int
    seed: int
    first_step: int
    last_step: int
    label_round: int = 0
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[list[Key]]:
        order: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        drawn_pass = -1
        for step in range(self.first_step, self.last_step):
            first = (step * self.world_size + self.rank) * self.batch_size
            keys: list[Key] = []
            for position in range(first, first + self.batch_size):
                this_pass, place = divmod(position, self.count)
                if this_pass != drawn_pass:
                    order = np.random.default_rng([self.seed, this_pass]).permutation(self.count)
                    drawn_pass = this_pass
                sample_seed = np.random.SeedSequence([self.seed, position]).generate_state(1)[0]
                keys.append((int(order[place]), int(sample_seed), self.label_round))
            yield keys

    def __len__(self) -> int:
        return max(0, self.last_step - self.first_step)


@dataclass
class TrainingStream:
    """Batches ``{domain: {"image", "label", "geometry", "round"}}`` for every step of a run.

    Where the transform makes further views, ``views`` has the first three of each, by its name.

    After ``refresh`` the next batch is read with the labels of the new round: batches that workers
    fetched ahead under the old labels are dropped.
    """

    domains: Mapping[str, TrainingSamples]
    batch_size: int
    seed: int
    steps: int
    step: Callable[[], int]
    workers: int = 0
    rank: int = 0
    world_size: int = 1
    label_round: int = 0
    _fetching: dict[str, Iterator[Any]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return self.steps

    def refresh(self, label_round: int) -> None:
        """Read labels of ``label_round`` from the next batch on."""
        self.label_round = label_round
        self._fetching.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: where the stream goes on follows from the trainer's step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing, and tell Lightning by being there that the stream can be resumed."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._fetching.clear()
        for step in range(self.step(), self.steps):
            if not self._fetching:
                self._fetching.update(
                    (domain, iter(self._loader(position, samples, step)))
                    for position, (domain, samples) in enumerate(self.domains.items())
                )
            yield {domain: next(batches) for domain, batches in self._fetching.items()}

    def _loader(
        self, position: int, samples: TrainingSamples, step: int
    ) -> DataLoader[dict[str, Any]]:
        sampler = StepSampler(
            count=len(samples.images),
            batch_size=self.batch_size,
            seed=self.seed * 2 + position,
            first_step=step,
            last_step=self.steps,
            label_round=self.label_round,
            rank=self.rank,
            world_size=self.world_size,
        )
        return DataLoader(
            samples,
            batch_sampler=sampler,
            num_workers=self.workers,
            worker_init_fn=one_thread,
        )

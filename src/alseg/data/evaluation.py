"""Single images for evaluation and for scoring the pool, each on one rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import IGNORE
from alseg.data.transforms import eval_transform
from alseg.data.workers import one_thread
from alseg.distributed import ranks


@dataclass
class EvaluationSamples(Dataset[dict[str, Any]]):
    """Images at the evaluation size with labels at their own resolution.

    Attributes:
        images: The data set.
        size: Height and width that images are resized to; None keeps theirs.
    """

    images: SegmentationDataset
    size: tuple[int, int] | None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``index``, ``image`` 3×h×w and ``label`` H×W.

        An index of −1 stands for no image: its label is void all over, so it counts for nothing.
        """
        image = self.images.image(max(index, 0))
        label = np.full(image.shape[:2], IGNORE) if index < 0 else self.images.label(index)
        return {
            "index": index,
            "image": eval_transform(image, self.size),
            "label": torch.from_numpy(label.astype(np.int64)),
        }


class Shown(Protocol):
    """Images that can be loaded without labels: a data set, or a pool of a script's own."""

    @property
    def ids(self) -> Sequence[str]:
        """One unique name per image."""

    def image(self, index: int) -> NDArray[Any]:
        """Return an image as the transform of a loader takes it."""


@dataclass
class PoolSamples(Dataset[dict[str, Any]]):
    """Images without labels, as a network takes them.

    Attributes:
        images: The images.
        transform: Makes of an image a tensor C×h×w.
    """

    images: Shown
    transform: Callable[[NDArray[Any]], Tensor]

    def __len__(self) -> int:
        return len(self.images.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``index`` and ``image`` C×h×w."""
        return {"index": index, "image": self.transform(self.images.image(index))}


class ShardSampler(DistributedSampler[int]):
    """This rank's share of a data set: no image twice, none left out.

    It is a ``DistributedSampler`` so that Lightning leaves it in place; that class would pad the
    shares to one length by counting images twice.

    Args:
        count: Number of images.
        rank: This process.
        world_size: Number of processes.
        at_least_one: Give a rank without an image the index −1, so that all ranks take part.
    """

    def __init__(self, count: int, rank: int, world_size: int, *, at_least_one: bool) -> None:
        self.indices = list(range(rank, count, world_size))
        if at_least_one and not self.indices:
            self.indices = [-1]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order is the same every time."""


def evaluation_loader(
    images: SegmentationDataset,
    size: tuple[int, int] | None,
    *,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
) -> DataLoader[dict[str, Any]]:
    """Return a loader of single images with labels, each on one rank; their sizes may differ.

    A rank that has no image gets a void one, since metrics are summed by all ranks.
    """
    samples = EvaluationSamples(images, size)
    return _single(samples, ShardSampler(len(images), rank, world_size, at_least_one=True), workers)


def pool_loader(
    images: Shown, transform: Callable[[NDArray[Any]], Tensor], *, workers: int = 0
) -> DataLoader[dict[str, Any]]:
    """Return a loader of this process's share of some images, without labels.

    It is what ``ActiveLoop`` calls for before a round, by the method of the same name: of n
    processes the r-th has the images r, r + n, r + 2n and so on, one at a time, so that their
    sizes may differ.

    Args:
        images: The pool, or the source.
        transform: Makes of an image, as ``images.image`` returns it, a tensor C×h×w: what the
            network takes. In loading processes that are spawned, it has to be picklable.
        workers: Loading processes.
    """
    rank, world_size = ranks.place()
    samples = PoolSamples(images, transform)
    sampler = ShardSampler(len(samples), rank, world_size, at_least_one=False)
    return _single(samples, sampler, workers)


def _single(
    samples: Dataset[dict[str, Any]], sampler: ShardSampler, workers: int
) -> DataLoader[dict[str, Any]]:
    return DataLoader(
        samples,
        batch_size=1,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_collate_as_lists,
        worker_init_fn=one_thread,
    )


def _collate_as_lists(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [sample[name] for sample in samples] for name in samples[0]}

"""Single images for evaluation and for scoring the pool, each on one rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import IGNORE
from alseg.data.transforms import eval_transform
from alseg.data.workers import one_thread


@dataclass
class EvaluationSamples(Dataset[dict[str, Any]]):
    """Images at the evaluation size with labels at their own resolution.

    Attributes:
        images: The data set.
        size: Height and width that images are resized to; None keeps theirs.
        with_labels: Whether labels are read.
    """

    images: SegmentationDataset
    size: tuple[int, int] | None
    with_labels: bool = True

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``index``, ``image`` 3×h×w, ``size`` and, if asked for, ``label`` H×W.

        An index of −1 stands for no image: its label is void all over, so it counts for nothing.
        """
        image = self.images.image(max(index, 0))
        height, width = image.shape[:2]
        sample: dict[str, Any] = {
            "index": index,
            "size": (height, width),
            "image": eval_transform(image, self.size),
        }
        if self.with_labels:
            void = index < 0
            label = np.full((height, width), IGNORE) if void else self.images.label(index)
            sample["label"] = torch.from_numpy(label.astype(np.int64))
        return sample


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
    with_labels: bool = True,
) -> DataLoader[dict[str, Any]]:
    """Return a loader of single images, each on one rank; their sizes may differ.

    With labels, a rank that has no image gets a void one, since metrics are summed by all ranks;
    without, it gets none.
    """
    return DataLoader(
        EvaluationSamples(images, size, with_labels),
        batch_size=1,
        sampler=ShardSampler(len(images), rank, world_size, at_least_one=with_labels),
        num_workers=workers,
        collate_fn=_collate_as_lists,
        worker_init_fn=one_thread,
    )


def _collate_as_lists(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [sample[name] for sample in samples] for name in samples[0]}

"""The data module: a training stream over the domains, the pool, and the evaluation splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import IGNORE
from alseg.data.transforms import TrainTransform, eval_transform
from alseg.errors import ConfigError
from alseg.schedule import check_counted_in_steps

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
        """Return ``image`` 3×h×w, ``label`` h×w and the ``round`` of the label."""
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
    """Batches ``{domain: {"image", "label", "round"}}`` for every step of a run.

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
            worker_init_fn=_one_thread,
        )


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
        worker_init_fn=_one_thread,
    )


class SegmentationDataModule(L.LightningDataModule):
    """Feeds ``SegmentationModule`` and offers the pool to ``ActiveLoop``.

    Args:
        source: Labelled images of the source domain; None where the protocol needs none.
        target: Training images of the target domain, which are also the pool. Their labels are
            only read under the protocol ``fully_supervised`` or through a label store.
        val: Images to choose on during training.
        test: Images to report on.
        size: Height and width of training images; None keeps the full resolution.
        source_size: The same for source images; None takes ``size``.
        crop: Height and width of a random crop of the resized image.
        eval_size: Height and width at which images are scored and evaluated; None takes ``size``.
        augmentation: ``none``, ``light`` or ``strong``.
        batch_size: Images of each domain in a step and process.
        workers: Loading processes per domain.
        seed: Of the order and the augmentation.
    """

    def __init__(
        self,
        *,
        source: SegmentationDataset | None = None,
        target: SegmentationDataset | None = None,
        val: SegmentationDataset | None = None,
        test: SegmentationDataset | None = None,
        size: tuple[int, int] | None = None,
        source_size: tuple[int, int] | None = None,
        crop: tuple[int, int] | None = None,
        eval_size: tuple[int, int] | None = None,
        augmentation: str = "light",
        batch_size: int = 8,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source, self.target, self.val, self.test = source, target, val, test
        self.sizes = {"source": source_size or size, "target": size}
        self.crop = crop
        self.eval_size = eval_size or size
        self.augmentation = augmentation
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.labels: LabelSource | None = None
        self._label_round = 0
        self._stream: TrainingStream | None = None

    @property
    def pool(self) -> SegmentationDataset:
        """The target images that labels may be asked for."""
        if self.target is None:
            raise ConfigError("Active learning needs a target: give the data module `target`.")
        return self.target

    def pool_loader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of this rank's pool images without labels, at the evaluation size."""
        return self._evaluation_loader(self.pool, with_labels=False)

    def use_labels(self, labels: LabelSource, label_round: int) -> None:
        """Take the target's labels from a store, as they were after ``label_round``."""
        self.labels, self._label_round = labels, label_round
        if self._stream is not None:
            self._stream.domains["target"].labels = labels
            self._stream.refresh(label_round)

    def check_sizes(self, domains: Iterable[str]) -> None:
        """Check that the training images of some domains make batches; decodes no image.

        Raises:
            ConfigError: Images of a domain differ in size, and no training size is given.
        """
        for domain in domains:
            images = self.source if domain == "source" else self.target
            if images is not None:
                _check_one_size(images, self.sizes[domain] or self.crop, domain)

    def train_dataloader(self) -> TrainingStream:
        """Return the stream of training batches for all steps of the trainer.

        Raises:
            ConfigError: The protocol trains on a domain that was not given, or the trainer has no
                ``max_steps``.
        """
        trainer = self._trainer()
        module: Any = trainer.lightning_module
        protocol = module.protocol
        check_counted_in_steps(trainer.max_steps)
        self.check_sizes(protocol.domains)
        domains: dict[str, TrainingSamples] = {}
        for domain in protocol.domains:
            images = self.source if domain == "source" else self.target
            if images is None or len(images) == 0:
                raise ConfigError(
                    f"The protocol {module.hparams['protocol']!r} trains on the "
                    f"{domain}, but the data module has no {domain} images."
                )
            if self.workers:
                images.preload()
            transform = TrainTransform(
                self.sizes[domain], crop=self.crop, augment=self.augmentation
            )
            own_labels = domain == "source" or protocol.all_target_labels
            domains[domain] = TrainingSamples(
                images, transform, None if own_labels else self.labels or _NoLabels()
            )
        self._stream = TrainingStream(
            domains,
            batch_size=self.batch_size,
            seed=self.seed,
            steps=trainer.max_steps,
            step=lambda: int(trainer.global_step),
            workers=self.workers,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            label_round=self._label_round,
        )
        return self._stream

    def val_dataloader(self) -> DataLoader[dict[str, Any]] | list[Any]:
        """Return the images to choose on; an empty list where there are none."""
        return self._evaluation(self.val)

    def test_dataloader(self) -> DataLoader[dict[str, Any]] | list[Any]:
        """Return the images to report on; an empty list where there are none."""
        return self._evaluation(self.test)

    def _evaluation(
        self, images: SegmentationDataset | None
    ) -> DataLoader[dict[str, Any]] | list[Any]:
        if images is None:
            return []
        return self._evaluation_loader(images, with_labels=True)

    def _evaluation_loader(
        self, images: SegmentationDataset, *, with_labels: bool
    ) -> DataLoader[dict[str, Any]]:
        trainer = self._trainer()
        if self.workers:
            images.preload()
        return evaluation_loader(
            images,
            self.eval_size,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            workers=self.workers,
            with_labels=with_labels,
        )

    def _trainer(self) -> L.Trainer:
        if self.trainer is None:
            raise ConfigError("The data module is used through Trainer.fit, validate or test.")
        return self.trainer


def _check_one_size(images: SegmentationDataset, size: tuple[int, int] | None, domain: str) -> None:
    if size is not None or len(images) == 0:
        return
    first = images.size(0)
    for index in range(1, len(images)):
        if images.size(index) != first:
            raise ConfigError(
                f"The {domain} images differ in size: {images.ids[0]} is {first[0]}x{first[1]}, "
                f"{images.ids[index]} is {'x'.join(map(str, images.size(index)))} (height x "
                "width). Give one training size, such as --size 512x1024, or a crop."
            )


class _NoLabels:
    def label(self, image_id: str, up_to_round: int | None = None) -> NDArray[np.uint8]:
        raise ConfigError("Target labels are read from a store; add ActiveLoop to the callbacks.")


def _collate_as_lists(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [sample[name] for sample in samples] for name in samples[0]}


def _one_thread(worker: int) -> None:
    import cv2

    cv2.setNumThreads(0)

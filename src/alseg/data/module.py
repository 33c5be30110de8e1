"""The data module: a training stream over the domains, the pool, and the evaluation splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import lightning as L
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from alseg.config.protocols import Protocol
from alseg.config.schedule import check_counted_in_steps
from alseg.config.size import check_random_scale
from alseg.data.base import SegmentationDataset
from alseg.data.checks import (
    check_channels,
    check_headers,
    check_teaches,
    check_training_sizes,
    say_stretched,
)
from alseg.data.evaluation import evaluation_loader, pool_loader
from alseg.data.stream import LabelSource, TrainingSamples, TrainingStream
from alseg.data.transforms import TrainTransform, eval_transform
from alseg.errors import ConfigError


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
        random_scale: The range of a random factor that the resized image is scaled by before it
            is cut to ``crop``, or to its size without; None does not scale.
        eval_size: Height and width at which images are scored and evaluated; None takes ``size``.
        augmentation: ``none``, ``light`` or ``strong``.
        batch_size: Images of each domain in a step and process.
        workers: Loading processes per domain.
        seed: Of the order and the augmentation.

    Raises:
        ConfigError: ``random_scale`` is no range, or training images have no size to be cut to.
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
        random_scale: Sequence[float] | None = None,
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
        trained = [own for domain, own in self.sizes.items() if self._images(domain) is not None]
        check_random_scale(random_scale, [crop or own for own in trained])
        self.random_scale = random_scale
        self.eval_size = eval_size or size
        self.augmentation = augmentation
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.labels: LabelSource | None = None
        self._label_round = 0
        self._checked: set[tuple[str, bool]] = set()
        self._protocol: Protocol | None = None
        self._views: Mapping[str, Mapping[str, str]] = {}
        self._stream: TrainingStream | None = None

    def train_under(
        self,
        protocol: Protocol,
        views: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> dict[str, tuple[int, int]]:
        """Feed what a protocol trains on; ``SegmentationModule`` calls it in its ``setup``.

        Args:
            protocol: The protocol.
            views: Of a domain, the further views of its images that a batch holds: for the name of
                each the augmentation that makes it.

        Returns:
            Height and width of the training images of each domain that there are images of.

        Raises:
            ConfigError: Images of a domain differ in size where they must not, or a crop does not
                fit into one.
            DatasetError: A file cannot be read, a label does not fit its image, or no label that
                was looked at has a pixel of a class.
        """
        self._protocol, self._views = protocol, views
        self.check_images(
            protocol.domains, protocol.domains if protocol.all_target_labels else ("source",)
        )
        found = {}
        for domain in protocol.domains:
            images = self._images(domain)
            if images is not None and len(images):
                found[domain] = self.crop or self.sizes[domain] or images.size(0)
        return found

    def _images(self, domain: str) -> SegmentationDataset | None:
        return self.source if domain == "source" else self.target

    @property
    def channels(self) -> int:
        """How many channels the images have: those of the target, or of the source without one."""
        found = (images for images in (self.target, self.source) if images is not None)
        return next((images.channels for images in found), 3)

    @property
    def run_identity(self) -> dict[str, Any]:
        """What counts for which run a label store belongs to, besides the images."""
        names = ("sizes", "crop", "random_scale", "eval_size", "augmentation", "batch_size", "seed")
        return {name: getattr(self, name) for name in names}

    @property
    def pool(self) -> SegmentationDataset:
        """The target images that labels may be asked for."""
        if self.target is None:
            raise ConfigError("Active learning needs a target: give the data module `target`.")
        return self.target

    def pool_loader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of this rank's pool images without labels, at the evaluation size."""
        return self._without_labels(self.pool)

    def source_loader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of this rank's source images without labels, at the evaluation size.

        Raises:
            ConfigError: There is no source.
        """
        if self.source is None:
            raise ConfigError("The data module has no source images: give it `source`.")
        return self._without_labels(self.source)

    def use_labels(self, labels: LabelSource, label_round: int) -> None:
        """Take the target's labels from a store, as they were after ``label_round``."""
        self.labels, self._label_round = labels, label_round
        if self._stream is not None:
            self._stream.domains["target"].labels = labels
            self._stream.refresh(label_round)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: ``values``, the range that images are scaled from.

        It is that of the target, else of the source; none of both leaves it out. Images of more
        than 8 bits that the network is used on later are scaled likewise.
        """
        for images in (self.target, self.source):
            if images is not None and images.values is not None:
                return {"values": images.values.written}
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that training continues on images scaled as before.

        Raises:
            ConfigError: Their range is another one by now.
        """
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        kept, now = state_dict.get("values"), self.state_dict().get("values")
        if fitting and kept != now:
            raise ConfigError(
                f"The images are scaled from {now or '8 bits'}, those of this training so far from "
                f"{kept or '8 bits'}: images were added, removed or changed. Write "
                f"`scale: {kept or now}` into the YAML file of the data, or put the images back."
            )

    def check_images(self, domains: Iterable[str], labelled: Iterable[str] = ("source",)) -> None:
        """Check, before anything is computed, that images and labels can be trained on.

        Headers say the sizes of images and labels, of the evaluated images too. What was checked
        once is not checked again.

        Args:
            domains: The domains that are trained on: ``source``, ``target``.
            labelled: Those of them whose own labels are trained on.

        Raises:
            ConfigError: Images of a domain differ in size where they must not, or a crop does not
                fit into one.
            DatasetError: A file cannot be read, a label does not fit its image, images differ in
                their number of channels, or no label that was looked at has a pixel of a class.
        """
        check_channels(
            {"source": self.source, "target": self.target, "val": self.val, "test": self.test}
        )
        for domain in domains:
            images = self._images(domain)
            own_labels = domain in labelled
            if images is None or (domain, own_labels) in self._checked:
                continue
            sizes, size = check_headers(images, labels=own_labels), self.sizes[domain]
            check_training_sizes(images.ids, sizes, size, self.crop, domain)
            say_stretched(images.ids, sizes, size, domain)
            if own_labels and images.has_labels:
                check_teaches(images, domain)
            self._checked.add((domain, own_labels))
        for split, evaluated in (("val", self.val), ("test", self.test)):
            if evaluated is not None and (split, True) not in self._checked:
                check_headers(evaluated, labels=True)
                self._checked.add((split, True))

    def train_dataloader(self) -> TrainingStream:
        """Return the stream of training batches for all steps of the trainer.

        Raises:
            ConfigError: The protocol trains on a domain that was not given, or the trainer has no
                ``max_steps``.
        """
        trainer = self._trainer()
        check_counted_in_steps(trainer.max_steps)
        protocol = self._protocol
        if protocol is None:
            raise ConfigError(
                "SegmentationDataModule does not know which protocol it feeds: SegmentationModule "
                "says it. Call train_under(PROTOCOLS['source_target']) in the setup of your "
                f"{type(trainer.lightning_module).__name__} (alseg.config.protocols lists them)."
            )
        domains: dict[str, TrainingSamples] = {}
        for domain in protocol.domains:
            images = self._images(domain)
            if images is None or len(images) == 0:
                raise ConfigError(
                    f"The protocol trains on the {domain}, but the data module has no {domain} "
                    "images."
                )
            if self.workers:
                images.preload()
            transform = TrainTransform(
                self.sizes[domain],
                crop=self.crop,
                augment=self.augmentation,
                views=self._views.get(domain, {}),
                random_scale=self.random_scale,
            )
            own_labels = domain == "source" or protocol.all_target_labels
            domains[domain] = TrainingSamples(
                images, transform, None if own_labels else self.labels or _NoLabels()
            )
        per_step = trainer.accumulate_grad_batches
        self._stream = TrainingStream(
            domains,
            batch_size=self.batch_size,
            seed=self.seed,
            steps=trainer.max_steps * per_step,
            step=lambda: int(trainer.global_step) * per_step,
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
        trainer = self._trainer()
        if self.workers:
            images.preload()
        return evaluation_loader(
            images,
            self.eval_size,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            workers=self.workers,
        )

    def _without_labels(self, images: SegmentationDataset) -> DataLoader[dict[str, Any]]:
        if self.workers:
            images.preload()
        transform = partial(eval_transform, size=self.eval_size)
        return pool_loader(images, transform, workers=self.workers)

    def _trainer(self) -> L.Trainer:
        if self.trainer is None:
            raise ConfigError("The data module is used through Trainer.fit, validate or test.")
        return self.trainer


class _NoLabels:
    def label(self, image_id: str, up_to_round: int | None = None) -> NDArray[np.uint8]:
        raise ConfigError("Target labels are read from a store; add ActiveLoop to the callbacks.")

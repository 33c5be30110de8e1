"""The one LightningModule: a segmenter trained on a labelled source and a few target pixels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from inspect import signature
from types import MappingProxyType
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import MetricCollection

from alseg.config.protocols import PROTOCOLS
from alseg.data.label_space import LabelSpace
from alseg.data.module import SegmentationDataModule
from alseg.data.transforms import eval_transform
from alseg.data.value_range import Pixels, counted
from alseg.data.views import View
from alseg.errors import ConfigError
from alseg.models import (
    HyperbolicHead,
    Network,
    Optimization,
    Prediction,
    Segmenter,
    build_optimizer,
    build_schedule,
    create_segmenter,
)
from alseg.models.prediction import at_least_float32, resize
from alseg.training.metrics import SegmentationMetric, SegmentationScores
from alseg.training.modes import evaluating
from alseg.training.step import DomainStep, LossTerm, Step
from alseg.training.teacher import Teacher
from alseg.training.terms import (
    build_terms,
    check_terms,
    loss_settings,
    views_of,
)
from alseg.training.trainer_options import check_batch_size, check_trainer
from alseg.training.unlabelled import Unlabelled
from alseg_strategies import Signals


class SegmentationModule(L.LightningModule):
    """Trains a segmenter under one of the protocols and evaluates it at label resolution.

    A training batch maps each domain of the protocol to ``{"image": B×C×h×w, "label": B×h×w}``,
    with ``"geometry": B×2×3`` and ``"views"`` where loss terms ask for views; an evaluation batch
    is ``{"image": B×C×h×w, "label": list of H×W}``. Images are normalised as by
    ``alseg.data.transforms``.

    A subclass may override ``configure_losses``, ``configure_metrics`` and
    ``configure_optimizers``; the first two are called while the module is constructed.

    Args:
        label_space: The classes.
        network: Which network is trained.
        protocol: ``source_only``, ``source_target``, ``source_free``, ``target_only`` or
            ``fully_supervised``.
        losses: Settings of the loss terms that differ from their defaults, such as
            ``{"consistency_weight": 0.0}``.
        unlabelled: What is learnt from target pixels that nobody was asked about.
        optimization: How the weights are learnt.
        flip: Average the evaluation over the image and its mirror image.
        eval_size: Height and width at which images are shown to the network in evaluation;
            None shows them as they are.
        seed: Makes what a step draws at random, such as dropout, depend on the seed, the step and
            the rank alone, so that a resumed run draws the same; None leaves torch's generator be.

    From a checkpoint, label space, network and optimization come as mappings of their fields.

    Raises:
        ConfigError: The protocol is unknown or has no loss term of a weight other than 0, or a
            loss term looks at what the protocol does not train on.
    """

    def __init__(
        self,
        label_space: LabelSpace | Mapping[str, Any],
        *,
        network: Network | Mapping[str, Any] = Network(),
        protocol: str = "source_target",
        losses: Mapping[str, float] = MappingProxyType({}),
        unlabelled: Unlabelled | Mapping[str, Any] = Unlabelled(),
        optimization: Optimization | Mapping[str, Any] = Optimization(),
        flip: bool = True,
        eval_size: tuple[int, int] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if protocol not in PROTOCOLS:
            raise ConfigError(f"Unknown protocol {protocol!r}; choose from {', '.join(PROTOCOLS)}.")
        if not isinstance(label_space, LabelSpace):
            label_space = LabelSpace.from_plain(label_space)
        if not isinstance(network, Network):
            network = Network(**network)
        if not isinstance(optimization, Optimization):
            optimization = Optimization(**optimization)
        if not isinstance(unlabelled, Unlabelled):
            unlabelled = Unlabelled(**unlabelled)
        self.label_space = label_space
        self.protocol = PROTOCOLS[protocol]
        self.unlabelled = unlabelled
        self.losses = loss_settings(losses)
        self.optimization = optimization
        self.flip = flip
        self.eval_size = eval_size
        self.seed = seed
        # As mappings, so that a checkpoint can be opened without executing anything in it.
        self._groups = {
            "network": asdict(network),
            "losses": self.losses,
            "optimization": asdict(optimization),
            "unlabelled": asdict(unlabelled),
        }
        self.save_hyperparameters(ignore=[*self._groups, "label_space"])
        self.save_hyperparameters(self._groups)
        self.hparams["label_space"] = label_space.plain
        self.segmenter = create_segmenter(network, len(label_space))
        terms = self.configure_losses()
        check_terms(terms, self.protocol)
        self.teacher: Teacher | None = None
        if any(term.needs_teacher for term in terms):
            self.keep_teacher()
        for term in terms:
            # Now, so that a checkpoint finds the state of the term where it is loaded.
            term.prepare(self.segmenter)
        self.terms = nn.ModuleDict({term.name: term for term in terms})
        self._last_step: Step | None = None
        self.metrics = self.configure_metrics()

    def keep_teacher(self) -> None:
        """Keep a moving average of the network from here on."""
        decay = self.unlabelled.teacher_decay
        self.teacher = Teacher(self.segmenter, len(self.label_space), decay)

    def configure_losses(self) -> list[LossTerm]:
        """Return the terms whose weighted sum is the loss."""
        return build_terms(self.protocol, self.losses, self.unlabelled.unlabelled)

    def configure_metrics(self) -> MetricCollection:
        """Return what is measured in validation and test.

        Each metric is updated with the train ids 1×H×W of an image, predicted and true; 255 has no
        label. What it computes, a number or numbers by name, is logged as ``val/NAME`` and
        ``test/NAME``: here ``mIoU``, ``accuracy`` and ``IoU/CLASS``.
        """
        # Metrics that agree on the first image would be taken for one in compute groups.
        return MetricCollection(
            {"segmentation": SegmentationMetric(self.label_space)}, compute_groups=False
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser and its schedule: linear warm-up, then polynomial decay."""
        optimizer = build_optimizer(self.segmenter, self.optimization, self.terms.parameters())
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = build_schedule(optimizer, self.optimization, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.label_space.classes

    @property
    def run_identity(self) -> dict[str, Any]:
        """The settings that count for which run a label store belongs to.

        The classes are compared with the store's own, and the weights by a digest. Of a subclass,
        its name counts too, and of each loss term its class and what it was constructed with, as
        far as the term has it as attributes of the same names.
        """
        elsewhere = ("encoder_weights", "label_space")
        known = {name: value for name, value in self.settings.items() if name not in elsewhere}
        if type(self) is SegmentationModule:
            return known
        terms = {term.name: _constructed(term) for term in self._loss_terms()}
        return {**known, "class": type(self).__qualname__, "terms": terms}

    @property
    def not_for_logits(self) -> tuple[str, ...]:
        """The parts whose weights the logits of ``signals`` do not depend on: the loss terms."""
        return ("terms",)

    def before_rounds(self, data: object) -> None:
        """Check that labels can be asked for; ``ActiveLoop`` calls it before anything else.

        Raises:
            ConfigError: The protocol asks for no labels, or the images cannot be trained on.
            DatasetError: As ``SegmentationDataModule.train_under`` does.
        """
        if not self.protocol.active:
            raise ConfigError(
                f"The protocol {self.protocol.name!r} asks for no labels; leave ActiveLoop out "
                "or choose source_target, source_free or target_only."
            )
        # Headers say in moments what the digests of images find out slowly.
        if isinstance(data, SegmentationDataModule):
            data.train_under(self.protocol, views_of(self._loss_terms()))
            self.check_channels(data.channels, "the data module")

    @property
    def settings(self) -> dict[str, Any]:
        """The hyperparameters one by one, out of their groups."""
        groups = self._groups
        others = {name: value for name, value in self.hparams.items() if name not in groups}
        trained = {"protocol": self.protocol.name, **groups["optimization"], **groups["losses"]}
        return {**groups["network"], **trained, **groups["unlabelled"], **others}

    @property
    def scores(self) -> SegmentationScores | None:
        """The scores of the evaluation before, over all ranks."""
        found = (m.scores for m in self.metrics.values() if isinstance(m, SegmentationMetric))
        return next(found, None)

    @property
    def has_radius(self) -> bool:
        """Whether the network shows a hyperbolic radius."""
        return isinstance(self.segmenter.head, HyperbolicHead)

    @property
    def in_channels(self) -> int:
        """How many channels the images have that the network takes."""
        return self.segmenter.in_channels

    def check_channels(self, channels: int, where: str) -> None:
        """Check that the network takes images of this many channels.

        Args:
            channels: How many channels the images have.
            where: What to call their place in an error.

        Raises:
            ConfigError: It takes others.
        """
        if channels != self.in_channels:
            raise ConfigError(
                f"The images of {where} have {counted(channels)}, and the network takes images of "
                f"{counted(self.in_channels)}. Use a network that was trained on such images, "
                "write `channels` into the YAML file of the data, or in a script build it by "
                f"Network(in_channels={channels})."
            )

    def setup(self, stage: str) -> None:
        """Check that trainer and data fit; lay the weights out as the device is fastest with.

        Loss terms prepare themselves here: the weights are there that training starts from, and
        the trainer restores a checkpoint next.

        Raises:
            ConfigError: An option of the trainer, the sizes of images or the size of a batch is
                not one that the network can be trained with.
            DatasetError: Images or labels cannot be trained on.
        """
        if stage == "fit":
            check_trainer(self.trainer)
            data = getattr(self.trainer, "datamodule", None)
            if isinstance(data, SegmentationDataModule):
                self.check_channels(data.channels, "the data module")
                views = views_of(self._loss_terms())
                for size in data.train_under(self.protocol, views).values():
                    check_batch_size(self.segmenter, data.batch_size, size)
        # Channels last pays on a GPU alone.
        if self.trainer.strategy.root_device.type == "cuda":
            self.segmenter.to(memory_format=torch.channels_last)
        if stage == "fit" and self.global_step == 0:
            if self.teacher is not None:
                self.teacher.restart(self.segmenter)
            for term in self._loss_terms():
                term.prepare(self.segmenter)

    def _loss_terms(self) -> Iterator[LossTerm]:
        return (cast(LossTerm, term) for term in self.terms.values())

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed what the step draws at random."""
        if self.seed is not None:
            place = [self.seed, self.global_step, self.global_rank]
            batches = self.trainer.accumulate_grad_batches
            if batches > 1:
                place.append(batch_idx % batches)
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: Mapping[str, Mapping[str, Any]], batch_idx: int) -> Tensor:
        """Return the weighted sum of the protocol's loss terms."""
        # With several batches to a step, what was kept of the one before is of no use.
        self._last_step = None
        parts = {domain: self._computed(part) for domain, part in batch.items()}
        step = Step(
            number=self.global_step,
            network=self.segmenter,
            teacher=self.teacher,
            share_left=max(0.0, 1 - self.global_step / max(1, self.trainer.max_steps)),
            unlabelled=self.unlabelled,
            source=parts.get("source"),
            target=parts.get("target"),
        )
        total = torch.zeros((), device=self.device)
        for term in self._loss_terms():
            value = term(step)
            total = total + term.weight * value
            self.log(f"train/{term.name}", value.detach())
        self.log("train/loss", total.detach(), prog_bar=True)
        if any(map(_looks_back, self._loss_terms())):
            self._last_step = step.detached()
        return total

    def _computed(self, part: Mapping[str, Any]) -> DomainStep:
        base = _view(part)
        prediction = self.segmenter(base.images)
        return DomainStep(
            images=base.images,
            labels=base.labels,
            geometry=base.geometry,
            valid=base.valid,
            logits=resize(prediction.logits, base.labels.shape[-2:]),
            features=prediction.features,
            views={name: _view(shown) for name, shown in part.get("views", {}).items()},
        )

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Make the step, then let the loss terms look back at it.

        Here, since callbacks may save the training or score the pool right after this.
        """
        super().optimizer_step(*arguments, **named)
        if self.teacher is not None:
            self.teacher.follow(self.segmenter)
        step, self._last_step = self._last_step, None
        if step is not None:
            with torch.no_grad():
                for term in filter(_looks_back, self._loss_terms()):
                    term.after_step(step)

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Count the batch into the metrics."""
        self._count(batch)

    def test_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Count the batch into the metrics."""
        self._count(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics, such as ``val/mIoU``."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics, such as ``test/mIoU``."""
        self._log_metrics("test")

    def _count(self, batch: Mapping[str, Any]) -> None:
        for image, label in zip(batch["image"], batch["label"], strict=True):
            self.metrics.update(self.labels(image[None], label.shape[-2:]), label[None])

    def _log_metrics(self, stage: str) -> None:
        figures = self.metrics.compute()
        # A tensor made in inference mode could not be counted into by a later validation.
        with torch.inference_mode(False):
            self.metrics.reset()
        # The same on every rank, since the metrics are summed over the ranks; and on every rank,
        # since ModelCheckpoint looks there for the figure that it chooses by.
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()})

    @property
    def evaluated(self) -> Segmenter:
        """The network that is evaluated, predicts and scores: the teacher's, where there is one."""
        if self.teacher is None or self.unlabelled.evaluate == "student":
            return self.segmenter
        return self.teacher.network

    def probabilities(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the class probabilities, averaged with those of the mirror image if ``flip``.

        Args:
            images: B×C×h×w, normalised.
            size: Height and width of the result.

        Returns:
            B×C×H×W in [0, 1].
        """
        network = self.evaluated
        probabilities = resize(at_least_float32(network(images).logits), size).softmax(1)
        if self.flip:
            mirrored = at_least_float32(network(images.flip(-1)).logits.flip(-1))
            probabilities = (probabilities + resize(mirrored, size).softmax(1)) / 2
        return probabilities

    def labels(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the most probable classes B×H×W as train ids, for images as above."""
        return self.probabilities(images, size).argmax(1)

    @property
    def offers(self) -> frozenset[str]:
        """The names of the signals that ``signals`` returns where they are wanted."""
        offered = {"logits", "embeddings", "image_features"}
        if self.has_radius:
            offered.add("radius")
        if self.teacher is not None:
            offered.add("teacher_logits")
        return frozenset(offered)

    def signals(self, images: Tensor, wanted: Collection[str] = ("logits", "radius")) -> Signals:
        """Return what an acquisition strategy may see of some images, after one forward pass.

        Args:
            images: B×C×h×w, normalised, at the evaluation size.
            wanted: The names of signals; those that are not offered are left out.

        Returns:
            ``logits`` B×C×h×w at the decoder's resolution, and of the others those that are wanted:
            the ``radius`` B×h×w of a hyperbolic head, ``embeddings`` B×D×h×w, which are the
            decoder's features, and ``image_features`` B×1×D, their mean over the image. With
            ``teacher_logits``, B×C×h×w, all others are the student's; without, they are those of
            the network that is evaluated.
        """
        taught = None
        if self.teacher is not None and "teacher_logits" in wanted:
            taught = self.teacher(images).logits
        network = self.evaluated if taught is None else self.segmenter
        prediction: Prediction = network(images)
        features = prediction.features
        return Signals(
            prediction.logits,
            prediction.radius if "radius" in wanted else None,
            embeddings=features if "embeddings" in wanted else None,
            teacher_logits=taught,
            image_features=(
                None
                if features is None or "image_features" not in wanted
                else at_least_float32(features).mean((2, 3))[:, None]
            ),
        )

    def segment(self, image: Pixels) -> NDArray[np.uint8]:
        """Return the train ids H×W of one image H×W×C, at the image's own resolution."""
        result: NDArray[np.uint8] = self._classify(image).argmax(0).to(torch.uint8).cpu().numpy()
        return result

    def class_probabilities(self, image: Pixels) -> NDArray[np.float32]:
        """Return the probabilities of the classes for one image H×W×C, a map H×W for each."""
        result: NDArray[np.float32] = self._classify(image).float().cpu().numpy()
        return result

    @torch.no_grad()
    def _classify(self, image: Pixels) -> Tensor:
        height, width = image.shape[:2]
        pixels = eval_transform(image, self.eval_size).to(self.device)
        with evaluating(self):
            return self.probabilities(pixels[None], (height, width))[0]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record that the weights are in the checkpoint, so that loading it needs no other file."""
        network = {**self._groups["network"], "encoder_weights": "none"}
        # A subclass that saves its hyperparameters too has put the objects in their place.
        plain = {**self._groups, "network": network, "label_space": self.label_space.plain}
        checkpoint["hyper_parameters"].update(plain)


def _constructed(term: LossTerm) -> dict[str, Any]:
    """Return the class of a loss term and what it was constructed with."""
    settings = ("weight", *signature(type(term)).parameters)
    given = {name: getattr(term, name) for name in settings if hasattr(term, name)}
    return {"class": type(term).__qualname__, **given}


def _looks_back(term: LossTerm) -> bool:
    return type(term).after_step is not LossTerm.after_step


def _view(part: Mapping[str, Any]) -> View:
    """Return a view of a batch; without a geometry it shows its images as they are."""
    images: Tensor = part["image"]
    geometry = part.get("geometry")
    if geometry is None:
        geometry = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    return View(images, part["label"], geometry, valid=part.get("valid"))

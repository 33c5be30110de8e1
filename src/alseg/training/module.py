"""The one LightningModule: a segmenter trained on a labelled source and a few target pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MulticlassConfusionMatrix

from alseg.config.protocols import PROTOCOLS
from alseg.data.label_space import IGNORE, LabelSpace
from alseg.data.module import SegmentationDataModule
from alseg.data.transforms import eval_transform
from alseg.errors import ConfigError
from alseg.models import HyperbolicHead, build_optimizer, create_segmenter
from alseg.training.metrics import SegmentationScores
from alseg.training.terms import View, build_terms
from alseg.training.trainer_options import check_batch_size, check_trainer
from alseg_strategies import Signals


class SegmentationModule(L.LightningModule):
    """Trains a segmenter under one of the protocols and evaluates it at label resolution.

    A training batch maps each domain of the protocol to ``{"image": B×3×h×w, "label": B×h×w}``;
    an evaluation batch is ``{"image": B×3×h×w, "label": list of H×W}``. Images are normalised as
    by ``alseg.data.transforms``.

    Args:
        label_space: The classes; a mapping of its fields where it comes from a checkpoint.
        architecture: The decoder, by the name of segmentation-models-pytorch.
        encoder: The encoder, by the name of segmentation-models-pytorch.
        encoder_weights: ``imagenet``, ``none`` or the path of a state dict.
        head: ``linear`` or ``hyperbolic``.
        hyperbolic_dim: Channels of the embedding in the hyperbolic head.
        curvature: c > 0 of the Poincaré ball of radius 1/√c.
        reweighting: How the hyperbolic head weighs its channels.
        protocol: ``source_only``, ``source_target``, ``source_free``, ``target_only`` or
            ``fully_supervised``.
        optimizer: ``adam`` or ``sgd``; with a hyperbolic head their Riemannian forms.
        learning_rate: For the encoder.
        head_lr_factor: Decoder and head learn at ``learning_rate`` times this.
        weight_decay: L2 penalty; not applied to points on the manifold.
        momentum: For ``sgd``.
        warmup_steps: Steps in which the learning rate rises linearly from near 0.
        poly_power: Exponent of the polynomial decay that follows.
        decay_steps: The step at which the decay would reach 0; None is the last of the training.
        source_weight: Weight of the cross-entropy on source labels.
        target_weight: Weight of the cross-entropy on asked-for target pixels.
        consistency_weight: Weight of the local consistency on source images.
        negative_weight: Weight of negative learning on target images.
        negative_threshold: Probability under which negative learning takes a class as wrong.
        flip: Average the evaluation over the image and its mirror image.
        eval_size: Height and width at which images are shown to the network in evaluation;
            None shows them as they are.
        seed: Makes what a step draws at random, such as dropout, depend on the seed, the step and
            the rank alone, so that a resumed run draws the same; None leaves torch's generator be.

    Raises:
        ConfigError: The protocol is unknown or has no loss term of a weight other than 0.
    """

    def __init__(
        self,
        label_space: LabelSpace | Mapping[str, Any],
        *,
        architecture: str = "deeplabv3plus",
        encoder: str = "mobilenet_v2",
        encoder_weights: str = "imagenet",
        head: str = "linear",
        hyperbolic_dim: int = 64,
        curvature: float = 1.0,
        reweighting: str = "rms",
        protocol: str = "source_target",
        optimizer: str = "adam",
        learning_rate: float = 1e-4,
        head_lr_factor: float = 10.0,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        warmup_steps: int = 0,
        poly_power: float = 0.9,
        decay_steps: int | None = None,
        source_weight: float = 1.0,
        target_weight: float = 1.0,
        consistency_weight: float = 0.1,
        negative_weight: float = 1.0,
        negative_threshold: float = 0.05,
        flip: bool = True,
        eval_size: tuple[int, int] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if protocol not in PROTOCOLS:
            raise ConfigError(f"Unknown protocol {protocol!r}; choose from {', '.join(PROTOCOLS)}.")
        space = label_space if isinstance(label_space, LabelSpace) else _read_space(label_space)
        self.save_hyperparameters(ignore=["label_space"])
        self.hparams["label_space"] = _write_space(space)
        self.label_space = space
        self.protocol = PROTOCOLS[protocol]
        self.flip = flip
        self.eval_size = eval_size
        self.seed = seed
        self.segmenter = create_segmenter(
            architecture=architecture,
            encoder=encoder,
            encoder_weights=encoder_weights,
            num_classes=len(space),
            head=head,
            hyperbolic_dim=hyperbolic_dim,
            curvature=curvature,
            reweighting=reweighting,
        )
        self.terms = nn.ModuleList(
            build_terms(
                self.protocol,
                source_weight=source_weight,
                target_weight=target_weight,
                consistency_weight=consistency_weight,
                negative_weight=negative_weight,
                negative_threshold=negative_threshold,
            )
        )
        if not self.terms:
            raise ConfigError(
                f"Every loss term of the protocol {protocol!r} has weight 0; give at least one of "
                f"{', '.join(self.protocol.terms)} a weight."
            )
        self.confusion = MulticlassConfusionMatrix(
            len(space), ignore_index=IGNORE, validate_args=False
        )
        # Of the evaluation before, over all ranks.
        self.scores: SegmentationScores | None = None

    @property
    def has_radius(self) -> bool:
        """Whether the network shows a hyperbolic radius."""
        return isinstance(self.segmenter.head, HyperbolicHead)

    def setup(self, stage: str) -> None:
        """Check that trainer and data fit; lay the weights out as the device is fastest with.

        Raises:
            ConfigError: An option of the trainer, the sizes of images or the size of a batch is
                not one that the network can be trained with.
            DatasetError: Images or labels cannot be trained on.
        """
        if stage == "fit":
            check_trainer(self.trainer)
            data = getattr(self.trainer, "datamodule", None)
            if isinstance(data, SegmentationDataModule):
                for size in data.train_under(self.protocol).values():
                    check_batch_size(self.segmenter, data.batch_size, size)
        # Channels last pays on a GPU alone.
        if self.trainer.strategy.root_device.type == "cuda":
            self.segmenter.to(memory_format=torch.channels_last)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed what the step draws at random."""
        if self.seed is not None:
            place = [self.seed, self.global_step, self.global_rank]
            batches = self.trainer.accumulate_grad_batches
            if batches > 1:
                place.append(batch_idx % batches)
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: Mapping[str, Mapping[str, Tensor]], batch_idx: int) -> Tensor:
        """Return the weighted sum of the protocol's loss terms."""
        views = {domain: self._view(part) for domain, part in batch.items()}
        total = torch.zeros((), device=self.device)
        for term in self.terms:
            value = term(views[str(term.domain)])
            total = total + term.weight * value
            self.log(f"train/{term.name}", value.detach())
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

    def _view(self, part: Mapping[str, Tensor]) -> View:
        prediction = self.segmenter(part["image"])
        logits = _resize(prediction.logits, part["label"].shape[-2:])
        return View(logits=logits, labels=part["label"])

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Count the batch into the confusion matrix."""
        self._count(batch)

    def test_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Count the batch into the confusion matrix."""
        self._count(batch)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/mIoU``, ``val/accuracy`` and ``val/IoU/CLASS``."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log ``test/mIoU``, ``test/accuracy`` and ``test/IoU/CLASS``."""
        self._log_scores("test")

    def _count(self, batch: Mapping[str, Any]) -> None:
        for image, label in zip(batch["image"], batch["label"], strict=True):
            self.confusion.update(self.labels(image[None], label.shape[-2:]), label[None])

    def _log_scores(self, stage: str) -> None:
        scores = SegmentationScores(self.confusion.compute().cpu())
        # A tensor made in inference mode could not be counted into by a later validation.
        with torch.inference_mode(False):
            self.confusion.reset()
        self.scores = scores
        figures = scores.as_dict(self.label_space)
        # The same on every rank, since the matrix is summed over the ranks; and on every rank,
        # since ModelCheckpoint looks there for the figure that it chooses by.
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()})

    def probabilities(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the class probabilities, averaged with those of the mirror image if ``flip``.

        Args:
            images: B×3×h×w, normalised.
            size: Height and width of the result.

        Returns:
            B×C×H×W in [0, 1].
        """
        probabilities = _resize(_full(self.segmenter(images).logits), size).softmax(1)
        if self.flip:
            mirrored = _full(self.segmenter(images.flip(-1)).logits.flip(-1))
            probabilities = (probabilities + _resize(mirrored, size).softmax(1)) / 2
        return probabilities

    def labels(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the most probable classes B×H×W as train ids, for images as above."""
        return self.probabilities(images, size).argmax(1)

    def signals(
        self, images: Tensor, size: tuple[int, int], names: Sequence[str] | None = None
    ) -> Signals:
        """Return what an acquisition strategy may see of some images, after one forward pass.

        Args:
            images: B×3×h×w, normalised, at the evaluation size.
            size: Height and width of the label grid.
            names: What to call the B images in an error.

        Returns:
            ``logits`` B×C×H×W and, from a hyperbolic head, ``radius`` B×H×W. The radius is
            resized as a scalar map, so the embedding is never blown up to the label grid.
        """
        prediction = self.segmenter(images)
        radius = prediction.radius
        if radius is not None:
            radius = _resize(_full(radius)[:, None], size)[:, 0]
        # Plane by plane, as strategies read them three times faster than channels last.
        return Signals(_resize(_full(prediction.logits).contiguous(), size), radius, names=names)

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the train ids H×W of one RGB image H×W×3, at the image's own resolution."""
        result: NDArray[np.uint8] = self._classify(image).argmax(0).to(torch.uint8).cpu().numpy()
        return result

    def class_probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities C×H×W of one RGB image H×W×3, at its own resolution."""
        result: NDArray[np.float32] = self._classify(image).float().cpu().numpy()
        return result

    @torch.no_grad()
    def _classify(self, image: NDArray[np.uint8]) -> Tensor:
        was_training = self.training
        self.eval()
        height, width = image.shape[:2]
        pixels = eval_transform(image, self.eval_size).to(self.device)
        probabilities = self.probabilities(pixels[None], (height, width))[0]
        self.train(was_training)
        return probabilities

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser and its schedule: linear warm-up, then polynomial decay."""
        h = self.hparams
        optimizer = build_optimizer(
            self.segmenter,
            h["optimizer"],
            lr=h["learning_rate"],
            head_lr_factor=h["head_lr_factor"],
            weight_decay=h["weight_decay"],
            momentum=h["momentum"],
        )
        total = h["decay_steps"] or int(self.trainer.estimated_stepping_batches)
        warmup, power = h["warmup_steps"], h["poly_power"]

        def factor(step: int) -> float:
            if step < warmup:
                return float((step + 1) / warmup)
            left = 1 - (step - warmup) / max(1, total - warmup)
            return float(max(0.0, left) ** power)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record that the weights are in the checkpoint, so that loading it needs no other file."""
        checkpoint["hyper_parameters"]["encoder_weights"] = "none"


def _full(maps: Tensor) -> Tensor:
    """Return maps with at least 32 bits: in 16, pixels that differ would tie."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _resize(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    if maps.shape[-2:] == tuple(size):
        return maps
    return functional.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def _write_space(space: LabelSpace) -> dict[str, Any]:
    fields = asdict(space)
    return {
        "name": fields["name"],
        "classes": list(fields["classes"]),
        "colors": [list(color) for color in fields["colors"]],
        "aliases": [list(names) for names in fields["aliases"]],
    }


def _read_space(fields: Mapping[str, Any]) -> LabelSpace:
    return LabelSpace(
        name=fields["name"],
        classes=tuple(fields["classes"]),
        colors=tuple((int(r), int(g), int(b)) for r, g, b in fields["colors"]),
        aliases=tuple(tuple(names) for names in fields["aliases"]),
    )

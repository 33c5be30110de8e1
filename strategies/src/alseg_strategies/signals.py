"""What a model shows a strategy of a batch of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from alseg_strategies.errors import SignalError

HOW_TO_GET = {
    "embeddings": (
        "they are the features of each pixel: name them in the module's `offers` and return "
        "Signals(logits, embeddings=...), B×D×h×w, from its `signals`"
    ),
    "image_features": (
        "they are vectors of the whole image: name them in the module's `offers` and return "
        "Signals(logits, image_features=...), B×K×F, from its `signals`"
    ),
    "previous_logits": (
        "they are the logits of the network of the round before: alseg keeps that network in a "
        "training, `alseg query` takes it from --previous; or pass "
        "Signals(logits, previous_logits=...) from your own model"
    ),
    "views": (
        "they are the logits of changed views of each image: name them in the module's `offers` "
        "and return Signals(logits, views=...), B×V×C×h×w, from its `signals`"
    ),
    "predicted_loss": (
        "it is the loss that a network predicts for itself: name it in the module's `offers` and "
        "return Signals(logits, predicted_loss=...), B×h×w, from its `signals`"
    ),
    "teacher_logits": (
        "it takes a teacher: train with `--unlabelled pseudo-labels` or `--unlabelled u2pl`, or "
        "Unlabelled('pseudo-labels') in alseg, or pass Signals(logits, teacher_logits=...) from "
        "your own model"
    ),
    "radius": (
        "it is the hyperbolic radius and needs a model with a hyperbolic head: choose one with "
        "`--head hyperbolic` or Network(head='hyperbolic') in alseg, or pass "
        "Signals(logits, radius=...) from your own model"
    ),
}
"""What a person can do about a signal that is missing, by its name."""

LIKE_LOGITS = ("previous_logits", "teacher_logits")
"""The signals of the shape of the logits."""

LIKE_PIXELS = ("radius", "predicted_loss")
"""The signals of one number per pixel."""


@dataclass(frozen=True, eq=False)
class Signals:
    """What a model says about B images of H by W pixels. Never a label.

    Attributes:
        logits: B,C,H,W class scores before the softmax, C >= 2, any floating type.
        radius: B,H,W hyperbolic distance of each pixel's embedding from the origin.
        embeddings: B,D,h,w features of each pixel, at the resolution that the model has them.
        previous_logits: B,C,H,W logits of the network of the round before; of the start in round 1.
        teacher_logits: B,C,H,W logits of a teacher, where the training keeps one.
        views: B,V,C,H,W logits of V views of each image, carried back to its pixels.
        predicted_loss: B,H,W loss that the model predicts for itself.
        image_features: B,K,F features of each image, K vectors.
        names: B names of the images, each the only one of its kind in its pool: what errors call
            them, and what a strategy can look up what it fitted by.

    Raises:
        SignalError: A shape or a type does not fit.
    """

    logits: Tensor
    radius: Tensor | None = None
    embeddings: Tensor | None = None
    previous_logits: Tensor | None = None
    teacher_logits: Tensor | None = None
    views: Tensor | None = None
    predicted_loss: Tensor | None = None
    image_features: Tensor | None = None
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.logits.ndim != 4 or self.logits.shape[1] < 2:
            raise SignalError(
                f"logits have the shape {tuple(self.logits.shape)}; expected "
                "(images, classes, height, width) with two classes or more"
            )
        images, classes, height, width = self.logits.shape
        for name in LIKE_PIXELS:
            self._check_shape(name, (images, height, width))
        for name in LIKE_LOGITS:
            self._check_shape(name, tuple(self.logits.shape))
        self._check_shape("views", (images, "views", classes, height, width))
        self._check_shape("embeddings", (images, "dimensions", "height", "width"))
        self._check_shape("image_features", (images, "vectors", "dimensions"))
        if self.names is not None and len(self.names) != images:
            raise SignalError(f"{len(self.names)} names were given for {images} images")
        for name in signal_names():
            signal: Tensor | None = getattr(self, name)
            if signal is not None and not signal.is_floating_point():
                raise SignalError(f"{name} is of type {signal.dtype}; expected a floating type")

    def _check_shape(self, name: str, expected: tuple[int | str, ...]) -> None:
        """Check the shape of a signal that is there; words stand for any length."""
        signal: Tensor | None = getattr(self, name)
        if signal is None:
            return
        fits = signal.ndim == len(expected) and all(
            isinstance(length, str) or length == own
            for own, length in zip(signal.shape, expected, strict=True)
        )
        if not fits:
            written = ", ".join(map(str, expected))
            raise SignalError(
                f"{name} has the shape {tuple(signal.shape)}; with logits of the shape "
                f"{tuple(self.logits.shape)} it must be ({written})"
            )

    def require(self, names: frozenset[str], asked_by: str) -> None:
        """Check that the named signals are there and finite.

        Args:
            names: Names of signals.
            asked_by: Who needs them, for the message.

        Raises:
            SignalError: One is missing, or has NaN or infinite values; the message names the
                image and the count.
        """
        for name in sorted(names):
            signal: Tensor | None = getattr(self, name, None)
            if signal is None:
                how = HOW_TO_GET.get(name, f"pass it as Signals(logits, {name}=...)")
                raise SignalError(f"{asked_by} needs the signal {name!r}, which is missing: {how}")
            self._require_finite(name, signal)

    def _require_finite(self, name: str, signal: Tensor) -> None:
        if signal.numel() == 0:
            return
        # One pass over the data: NaN survives min and max, an infinity is one of them. In the order
        # of the memory, since another one is several times slower.
        in_order = signal.detach()
        if in_order.ndim == 4 and not in_order.is_contiguous():
            in_order = in_order.movedim(1, -1)
        extremes = torch.stack(torch.aminmax(in_order))
        if bool(extremes.isfinite().all()):
            return
        counts = [int(image.numel() - image.isfinite().sum()) for image in signal]
        bad = [
            f"{self._name_of(index)}: {count} of {signal[index].numel()}"
            for index, count in enumerate(counts)
            if count
        ]
        more = f"; and {len(bad) - 5} more images" if len(bad) > 5 else ""
        raise SignalError(
            f"NaN or infinite values in {name} ({'; '.join(bad[:5])}{more}), which cannot be "
            "ranked; look for a training that diverged or an overflow in half precision"
        )

    def _name_of(self, index: int) -> str:
        return f"image {index}" if self.names is None else f"image {self.names[index]!r}"


def signal_names() -> frozenset[str]:
    """The signals that a strategy can require: every tensor of `Signals`."""
    return frozenset(field.name for field in fields(Signals)) - {"names"}

"""From images and labels to tensors: resizing that keeps labels, augmentation, normalisation."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alseg.config.size import check_random_scale
from alseg.data.label_space import IGNORE
from alseg.data.shrink import shrink_labels
from alseg.data.value_range import Pixels
from alseg.data.views import flip_geometry
from alseg.errors import ConfigError, did_you_mean

AUGMENTATIONS = ("none", "light", "strong")

# Mean and standard deviation of ImageNet's RGB values, on which encoders are pretrained.
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
# Of channels that nobody knows the meaning of.
_MIDDLE, _SPREAD = np.float32(0.5), np.float32(0.25)


class TrainTransform:
    """Makes a training sample of an image and its label; the same seed gives the same sample.

    A window of the image is cut out at full resolution and then shrunk, so that asked-for pixels
    inside it survive (see ``shrink_labels``). Without ``crop`` the window is the whole image.
    With ``random_scale`` the resized image is scaled by a factor before it is cut: the window is
    smaller or larger in pixels of the image, and still resized once. Where the scaled image is
    smaller than the cut, void is beside it, and 0 in the normalised image.
    Image and label are then flipped together, and the image's colours are changed.

    Further views show the same window, each flipped and coloured by draws of its own. The sample
    itself does not depend on them, nor one of them on the others.
    """

    def __init__(
        self,
        size: tuple[int, int] | None,
        crop: tuple[int, int] | None = None,
        augment: str = "light",
        views: Mapping[str, str] = MappingProxyType({}),
        random_scale: Sequence[float] | None = None,
    ) -> None:
        """Build the pipeline; with augmentation this imports albumentations, which takes seconds.

        Args:
            size: Height and width in pixels that the whole image is resized to; None keeps the
                full resolution.
            crop: Height and width of a random cut of the resized image; None trains on the whole.
            augment: ``light`` flips and varies the light; ``strong`` also changes hue, sharpness
                and noise, which helps from synthetic to real images; ``none`` does nothing.
            views: The augmentation of each further view, by the name of the view.
            random_scale: The smallest and the largest factor, drawn uniformly between them, that
                the resized image is scaled by before it is cut to ``crop``, or to ``size`` without;
                None does not scale.

        Raises:
            ConfigError: The crop is larger than the size, an augmentation does not exist, or there
                is no size to cut scaled images to.
        """
        check_random_scale(random_scale, [crop or size])
        if size is not None:
            _check_fits(crop, size)
        self.size = size
        self.crop = crop
        self.random_scale = random_scale
        self._augment = _Augmentation(augment)
        self._views = {name: _Augmentation(strength) for name, strength in views.items()}

    def __call__(self, image: Pixels, label: NDArray[np.uint8], seed: int) -> dict[str, Any]:
        """Return ``image``, ``label`` and ``geometry`` of the sample, and ``views`` if there are.

        The image is float32 C×h×w, normalised, the label long h×w with 255 as void, and the
        geometry float32 2×3 (see ``alseg.data.views.View``). With ``random_scale`` there is also
        ``valid``, bool h×w, False beside the image. ``views`` has the same for each further view,
        by its name.

        Args:
            image: H×W×C, uint8 or float32 from 0 to 1; three channels are RGB.
            label: Train ids, H×W; 255 is void or not asked for.
            seed: Not negative; decides everything that is random.
        """
        generator = np.random.default_rng(seed)
        full = self.size or (image.shape[0], image.shape[1])
        _check_fits(self.crop, full)
        size = self.crop or full
        if self.random_scale is not None:
            low, high = self.random_scale
            factor = generator.uniform(low, high)
            full = (max(1, round(full[0] * factor)), max(1, round(full[1] * factor)))
        shown = (min(size[0], full[0]), min(size[1], full[1]))
        rows, columns = self._window((image.shape[0], image.shape[1]), full, shown, generator)
        image = _resize_image(image[rows, columns], shown)
        label = shrink_labels(label[rows, columns], shown)
        cut = None if self.random_scale is None else size
        sample: dict[str, Any] = self._augment(image, label, cut, generator, random.Random(seed))
        if self._views:
            sample["views"] = {
                name: augment(image, label, cut, *_generators_of(name, seed))
                for name, augment in self._views.items()
            }
        return sample

    def _window(
        self,
        image_size: tuple[int, int],
        full: tuple[int, int],
        size: tuple[int, int],
        generator: np.random.Generator,
    ) -> tuple[slice, slice]:
        """Draw the part of the image, in its own pixels, that the sample shows."""
        slices = []
        for length, whole, shown in zip(image_size, full, size, strict=True):
            extent = min(length, max(1, round(length * shown / whole)))
            start = int(generator.integers(0, length - extent + 1))
            slices.append(slice(start, start + extent))
        return slices[0], slices[1]


class _Augmentation:
    """Shows a window and its label flipped or not, in other colours."""

    def __init__(self, strength: str) -> None:
        """Build the changes of colour of one of ``AUGMENTATIONS``."""
        check_augmentation(strength)
        self._flips = strength != "none"
        self._colours = [] if strength == "none" else _colours(strength)
        self._light = [] if strength == "none" else _light(strength)

    def __call__(
        self,
        image: Pixels,
        label: NDArray[np.uint8],
        cut: tuple[int, int] | None,
        generator: np.random.Generator,
        draws: random.Random,
    ) -> dict[str, Tensor]:
        """Return ``image``, ``label`` and ``geometry``; the arrays passed in stay as they are.

        With a size to cut to there is ``valid`` too, and what is beside a smaller image is filled.
        """
        flipped = False
        if self._flips:
            # The second draw decides, as it did where albumentations flipped.
            draws.random()
            flipped = draws.random() < 0.5
        if flipped:
            image, label = image[:, ::-1], label[:, ::-1]
        coloured = image.dtype == np.uint8 and image.shape[2] == 3
        for change in self._colours if coloured else self._light:
            # Passing generators, unlike a seed, sets up no generator for each of the changes.
            change.set_random_state(generator, draws)
            image = change(image=image)["image"]
        sample = {
            "image": _normalise(image),
            "label": torch.from_numpy(np.ascontiguousarray(label)).long(),
            "geometry": flip_geometry(flipped),
        }
        return sample if cut is None else _framed(sample, cut, flipped)


def check_augmentation(strength: str) -> None:
    """Check that there is an augmentation of a name.

    Raises:
        ConfigError: There is none.
    """
    if strength not in AUGMENTATIONS:
        raise ConfigError(
            f"No augmentation is called {strength!r}.{did_you_mean(str(strength), AUGMENTATIONS)} "
            f"Choose one of {', '.join(AUGMENTATIONS)}."
        )


def _generators_of(view: str, seed: int) -> tuple[np.random.Generator, random.Random]:
    """Return what draws for a view: its name and the seed of the sample decide."""
    own = int(np.random.SeedSequence([seed, *view.encode()]).generate_state(1)[0])
    return np.random.default_rng(own), random.Random(own)


def eval_transform(image: Pixels, size: tuple[int, int] | None) -> Tensor:
    """Resize an image, H×W×C, to ``size`` and normalise it; returns float32 C×h×w.

    RGB is normalised by the mean and the standard deviation of ImageNet, any other number of
    channels by (v − 1/2) / (1/4) of values v from 0 to 1. A size of None keeps the image's own.
    """
    return _normalise(image if size is None else _resize_image(image, size))


def _check_fits(crop: tuple[int, int] | None, size: tuple[int, int]) -> None:
    if crop is not None and (crop[0] > size[0] or crop[1] > size[1]):
        raise ConfigError(
            f"A crop of {crop[0]}x{crop[1]} (height x width) does not fit into training images of "
            f"{size[0]}x{size[1]}. Make the crop smaller or the images larger."
        )


def _framed(sample: dict[str, Tensor], size: tuple[int, int], flipped: bool) -> dict[str, Tensor]:
    """Return a sample at a size: void at the bottom, and at the right or, if flipped, the left."""
    height, width = sample["label"].shape
    beside = size[1] - width
    gaps = [*((beside, 0) if flipped else (0, beside)), 0, size[0] - height]
    return {
        **sample,
        "image": functional.pad(sample["image"], gaps),
        "label": functional.pad(sample["label"], gaps, value=IGNORE),
        "valid": functional.pad(torch.ones(height, width, dtype=torch.bool), gaps),
    }


def _normalise(image: Pixels) -> Tensor:
    channels_first = np.array(image.transpose(2, 0, 1), dtype=np.float32, order="C")
    white = 255.0 if image.dtype == np.uint8 else 1.0
    if image.shape[2] == 3:
        channels_first *= (1.0 / (white * _STD))[:, None, None]
        channels_first -= (_MEAN / _STD)[:, None, None]
    else:
        channels_first *= np.float32(1.0 / (white * _SPREAD))
        channels_first -= _MIDDLE / _SPREAD
    return torch.from_numpy(channels_first)


def _resize_image(image: Pixels, size: tuple[int, int]) -> Pixels:
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    # OpenCV shrinks no more than four channels at once, and drops a single one.
    resized = [
        cv2.resize(image[..., first : first + 4], (width, height), interpolation=how)
        for first in range(0, image.shape[2], 4)
    ]
    resized = [part.reshape(height, width, -1) for part in resized]
    return cast(Pixels, resized[0] if len(resized) == 1 else np.concatenate(resized, axis=2))


def _colours(strength: str) -> list[Any]:
    """Return the transforms of albumentations that change the colours of an image, in order."""
    # On import, albumentations asks the network for a newer release unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A  # type: ignore[import-untyped]

    if strength == "light":
        return [
            A.ColorJitter((0.8, 1.2), (0.8, 1.2), (0.8, 1.2), (-0.02, 0.02), p=0.8),
            A.RandomGamma((85, 118), p=0.3),
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 0.8), p=0.1),
        ]
    return [
        A.ColorJitter((0.5, 1.5), (0.5, 1.5), (0.4, 1.6), (-0.08, 0.08), p=0.9),
        A.RandomGamma((60, 160), p=0.5),
        A.ToGray(p=0.05),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.2, 1.5), p=0.3),
        A.GaussNoise(std_range=(0.01, 0.05), p=0.3),
        A.ImageCompression(quality_range=(40, 95), p=0.2),
    ]


def _light(strength: str) -> list[Any]:
    """Return the transforms for images that are not RGB of 8 bits, at their full precision.

    Hue, saturation, the loss of colour and JPEG mean something for RGB of 8 bits alone.
    """
    import albumentations as A

    if strength == "light":
        return [
            A.RandomBrightnessContrast(0.2, 0.2, p=0.8),
            A.RandomGamma((85, 118), p=0.3),
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 0.8), p=0.1),
        ]
    return [
        A.RandomBrightnessContrast(0.5, 0.5, p=0.9),
        A.RandomGamma((60, 160), p=0.5),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.2, 1.5), p=0.3),
        A.GaussNoise(std_range=(0.01, 0.05), p=0.3),
    ]

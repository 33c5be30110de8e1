"""Images of more than 8 bits per channel: the range of their values becomes 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from alseg.data.channels import read_any_header, read_channels, read_values
from alseg.errors import DatasetError

Pixels = NDArray[np.uint8] | NDArray[np.float32]
"""An image as the network takes it, H×W×C: of 8 bits as it is stored, of more as shares 0 to 1."""

_EXAMPLE = "two numbers, the smaller first, such as [0, 4095], or such a pair for each channel"


@dataclass(frozen=True)
class ValueRange:
    """The values that become black and white; those between become grey in proportion.

    Attributes:
        low: What becomes 0, in every channel or in each.
        high: What becomes 1, likewise.
        strict: Whether an image with values beyond is refused; else these become black or white.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    strict: bool = False

    def __post_init__(self) -> None:
        if not all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in self._pairs):
            raise DatasetError(f"A range of values is {_EXAMPLE}: {self.written}.")

    def __str__(self) -> str:
        return ", ".join(f"{low:.6g} to {high:.6g}" for low, high in self._pairs)

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        if isinstance(self.low, tuple) and isinstance(self.high, tuple):
            return list(zip(self.low, self.high, strict=True))
        assert isinstance(self.low, (int, float))
        assert isinstance(self.high, (int, float))
        return [(self.low, self.high)]

    @property
    def channels(self) -> int | None:
        """How many channels have a range of their own; None where one is for all."""
        return len(self.low) if isinstance(self.low, tuple) else None

    @property
    def written(self) -> list[Any]:
        """The range as a description of data has it: a pair, or one for each channel."""
        pairs = [[low, high] for low, high in self._pairs]
        return pairs[0] if self.channels is None else pairs

    @classmethod
    def parse(cls, value: object, strict: bool = True) -> ValueRange:
        """Read a range, written as a list of two numbers or of such lists.

        Raises:
            DatasetError: It is anything else.
        """
        if _is_pair(value):
            return cls(float(value[0]), float(value[1]), strict)
        if isinstance(value, (list, tuple)) and value and all(map(_is_pair, value)):
            low, high = (tuple(float(pair[end]) for pair in value) for end in (0, 1))
            return cls(low, high, strict)
        raise DatasetError(f"A range of values is {_EXAMPLE}: {value!r}.")

    @classmethod
    def of(cls, values: NDArray[np.generic]) -> ValueRange | None:
        """Return the range from 0, or a negative minimum, to the maximum; None if all are 0.

        NaN and infinities do not count.
        """
        finite = values[np.isfinite(values)]
        low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
        return cls(low, high) if low < high else None

    def said(self, trained: bool) -> str:
        """Say what images of more than 8 bits are scaled from, and why."""
        if trained:
            return f"scaled from {self}, as in training; what is beyond becomes black or white"
        return f"scaled from {self}, the range of these images (the network has none of its own)"

    def union(self, other: ValueRange) -> ValueRange:
        """Return the smallest range for all channels that holds both."""
        pairs = self._pairs + other._pairs
        return ValueRange(min(low for low, _ in pairs), max(high for _, high in pairs))

    def beyond(self, values: NDArray[np.generic]) -> list[float]:
        """Return the smallest and the largest finite value outside the range; empty if none is."""
        numbers = values.astype(np.float64)
        outside = numbers[np.isfinite(numbers) & ((numbers < self.low) | (numbers > self.high))]
        return [float(outside.min()), float(outside.max())] if outside.size else []

    def shares(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return values H×W×C as 0 to 1; NaN becomes 0, what is beyond the range its nearer end."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        shares = (values.astype(np.float64) - low) / (high - low)
        shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0)
        limited: NDArray[np.float32] = np.clip(shares, 0, 1).astype(np.float32)
        return limited


def _is_pair(value: object) -> TypeGuard[Sequence[float]]:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in value)
    )


@lru_cache(maxsize=32)
def range_of(paths: tuple[Path, ...], channels: int | None = None) -> ValueRange | None:
    """Return the range of all values of the images of more than 8 bits among the files.

    All of these are decoded. Files that cannot be read do not count. The ranges of the last few
    data sets are remembered.

    Args:
        paths: The files.
        channels: How many channels they have; None reads them as RGB.

    Returns:
        The range; None if there is no such image, or all its values are 0.
    """
    found: ValueRange | None = None
    for path in paths:
        try:
            if not read_any_header(path).deep:
                continue
            own = ValueRange.of(read_values(path) if channels is None else read_channels(path))
        except DatasetError:
            continue
        if own is not None:
            found = own if found is None else found.union(own)
    return found


def read_pixels(
    path: Path, values: ValueRange | None = None, channels: int | None = None
) -> Pixels:
    """Return the image as the network takes it, turned as its EXIF or TIFF tags say.

    Args:
        path: The file.
        values: The range that the values of an image of more than 8 bits per channel are scaled
            from; None takes the image's own, which differs from image to image.
        channels: How many channels it has to have; None makes three equal ones of grey and drops
            transparency.

    Raises:
        DatasetError: The file is missing or damaged, has another number of channels, or has values
            beyond a strict range.
    """
    if channels is None:
        stored = read_values(path)
    else:
        check_channels_of(path, read_any_header(path).channels, channels)
        stored = read_channels(path)
    if stored.dtype == np.uint8:
        return np.ascontiguousarray(stored, dtype=np.uint8)
    beyond = values.beyond(stored) if values is not None and values.strict else []
    if beyond:
        raise DatasetError(
            f"{path} has values such as {beyond[-1]:.6g}, beyond the `scale` of {values}. "
            "Widen the `scale`, or leave it out: the range of all images is taken then."
        )
    return (values or ValueRange.of(stored) or ValueRange(0, 1)).shares(stored)


def check_channels_of(path: Path, found: int, channels: int) -> None:
    """Check that an image has as many channels as it has to.

    Raises:
        DatasetError: It has not.
    """
    if found != channels:
        raise DatasetError(
            f"{path} has {counted(found)}; images of {counted(channels)} are asked for, by "
            "`channels` in the description of the data or by the network. Convert the image, or "
            "take it out of the data."
        )


def counted(channels: int) -> str:
    """Say how many channels."""
    return f"{channels} channel{'' if channels == 1 else 's'}"


def displayed(pixels: Pixels) -> NDArray[np.uint8]:
    """Return an image H×W×C as people are shown it: RGB of 8 bits, H×W×3.

    Of three channels or more these are the first three; else the first, in grey.
    """
    colours = pixels[..., [0, 1, 2] if pixels.shape[2] > 2 else [0, 0, 0]]
    if colours.dtype == np.uint8:
        return colours.astype(np.uint8, copy=False)
    return np.rint(255 * colours.astype(np.float64)).astype(np.uint8)


def read_image(path: Path, values: ValueRange | None = None) -> NDArray[np.uint8]:
    """Return the image as people are shown it, RGB of 8 bits H×W×3, turned as its tags say.

    Args:
        path: The file.
        values: The range that the values of an image of more than 8 bits per channel are scaled
            from; None takes the image's own, which differs from image to image.

    Raises:
        DatasetError: The file is missing or damaged, or has values beyond a strict range.
    """
    header = read_any_header(path)
    # What Pillow reads is shown as it always was: without its transparency.
    return displayed(read_pixels(path, values, None if header.mode else header.channels))

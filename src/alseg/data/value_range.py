"""Images of more than 8 bits per channel: the range of their values becomes 0 to 255."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alseg.data.images import read_header, read_values
from alseg.errors import DatasetError


@dataclass(frozen=True)
class ValueRange:
    """The values that become black and white; those between become grey in proportion.

    Attributes:
        low: What becomes 0.
        high: What becomes 255.
        strict: Whether an image with values beyond is refused; else these become black or white.
    """

    low: float
    high: float
    strict: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise DatasetError(
                f"A range of values is two numbers, the smaller first, such as [0, 4095]: "
                f"[{self.low}, {self.high}]."
            )

    def __str__(self) -> str:
        return f"{self.low:.6g} to {self.high:.6g}"

    @classmethod
    def parse(cls, value: object) -> ValueRange:
        """Read a strict range, written as a list of two numbers.

        Raises:
            DatasetError: It is anything else.
        """
        if (
            isinstance(value, (list, tuple))
            and len(value) == 2
            and all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in value)
        ):
            return cls(float(value[0]), float(value[1]), strict=True)
        raise DatasetError(
            f"A range of values is two numbers, the smaller first, such as [0, 4095]: {value!r}."
        )

    @classmethod
    def of(cls, values: NDArray[np.generic]) -> ValueRange | None:
        """Return the range from 0, or a negative minimum, to the maximum; None if all are 0.

        NaN and infinities do not count.
        """
        finite = values[np.isfinite(values)]
        low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
        return cls(low, high) if low < high else None

    @property
    def ends(self) -> tuple[float, float]:
        """The low and the high end."""
        return self.low, self.high

    def said(self, trained: bool) -> str:
        """Say what images of more than 8 bits are scaled from, and why."""
        if trained:
            return f"scaled from {self}, as in training; what is beyond becomes black or white"
        return f"scaled from {self}, the range of these images (the network has none of its own)"

    def union(self, other: ValueRange) -> ValueRange:
        """Return the smallest range that holds both."""
        return ValueRange(min(self.low, other.low), max(self.high, other.high))

    def beyond(self, values: NDArray[np.generic]) -> list[float]:
        """Return the smallest and the largest finite value outside the range; empty if none is."""
        finite = values[np.isfinite(values)].astype(np.float64)
        outside = finite[(finite < self.low) | (finite > self.high)]
        return [float(outside.min()), float(outside.max())] if outside.size else []

    def to_bytes(self, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return the values as 0 to 255; NaN becomes 0, what is beyond the range its nearer end."""
        shares = (values.astype(np.float64) - self.low) / (self.high - self.low)
        shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0)
        return np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)


@lru_cache(maxsize=32)
def range_of(paths: tuple[Path, ...]) -> ValueRange | None:
    """Return the range of all values of the images of more than 8 bits among the files.

    All of these are decoded. Files that cannot be read do not count. The ranges of the last few
    data sets are remembered.

    Returns:
        The range; None if there is no such image, or all its values are 0.
    """
    found: ValueRange | None = None
    for path in paths:
        try:
            own = ValueRange.of(read_values(path)) if read_header(path).deep else None
        except DatasetError:
            continue
        if own is not None:
            found = own if found is None else found.union(own)
    return found


def read_image(path: Path, values: ValueRange | None = None) -> NDArray[np.uint8]:
    """Return the image as RGB, H×W×3, turned as its EXIF or TIFF tags say.

    Grey images become three equal channels, and transparency is dropped.

    Args:
        path: The file.
        values: The range that the values of an image of more than 8 bits per channel are scaled
            from; None takes the image's own, which differs from image to image.

    Raises:
        DatasetError: The file is missing or damaged, or has values beyond a strict range.
    """
    stored = read_values(path)
    if stored.dtype != np.uint8:
        beyond = values.beyond(stored) if values is not None and values.strict else []
        if beyond:
            raise DatasetError(
                f"{path} has values such as {beyond[-1]:.6g}, beyond the `scale` of {values}. "
                "Widen the `scale`, or leave it out: the range of all images is taken then."
            )
        stored = (values or ValueRange.of(stored) or ValueRange(0, 1)).to_bytes(stored)
    rgb = stored if stored.ndim == 3 else np.repeat(stored[..., None], 3, axis=2)
    return rgb.astype(np.uint8, copy=False)

"""Sizes of images, and how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from alseg.errors import ConfigError

SIZE_TEXT = re.compile(r"0*([1-9][0-9]{0,5})x0*([1-9][0-9]{0,5})")
LONGEST_SIZE = 40
Size = tuple[int, int]
"""Height and width in pixels; written ``HEIGHTxWIDTH``, such as ``180x240``."""


def parse_size(name: str, text: str) -> Size:
    """Read a size written ``HEIGHTxWIDTH``.

    Raises:
        ConfigError: The text of the setting ``name`` is not a size.
    """
    match = SIZE_TEXT.fullmatch(text)
    if match is None:
        shown = text if len(text) <= LONGEST_SIZE else f"{text[:LONGEST_SIZE]}..."
        raise ConfigError(f"{name} is {shown!r}; write HEIGHTxWIDTH in pixels, such as 180x240.")
    return int(match[1]), int(match[2])


def show_size(size: Size) -> str:
    """Write a size as ``HEIGHTxWIDTH``."""
    return f"{size[0]}x{size[1]}"


def check_random_scale(scale: Sequence[float] | None, sizes: Sequence[Size | None]) -> None:
    """Check the range of the random factor that training images are scaled by.

    Args:
        scale: The smallest and the largest factor; None scales nothing.
        sizes: What training samples are cut to, of each domain; None is not fixed.

    Raises:
        ConfigError: It is no range of factors above 0, or the samples would differ in size.
    """
    if scale is None:
        return
    if not (len(scale) == 2 and all(map(math.isfinite, scale)) and 0 < scale[0] <= scale[1]):
        raise ConfigError(
            f"random_scale is {list(scale)}; it must be two numbers above 0, the smaller first, "
            "such as [0.5, 2.0]."
        )
    if None in sizes:
        raise ConfigError(
            "With random_scale training images need one size to be cut to: give crop or size."
        )

"""Sizes of images, and how they are written."""

from __future__ import annotations

import re

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

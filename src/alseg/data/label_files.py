"""The numbers in a label file, which are not always the numbers that it stores.

A picture editor that saves grey levels as indexed colour or with fewer bits keeps what is shown and
changes what is stored; a program that writes class numbers with a palette for the eye means what is
stored. What the mapping allows tells one from the other, or the file is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.data.images import LABEL_FORMATS, Header, file_format, open_picture, read_header
from alseg.errors import DatasetError

_WHITE = 255
_WHOLE = ("L", "I", "I;16", "I;16B", "I;16L", "I;16N")
_FEW_BITS = {"1": 1, "L;2": 2, "L;4": 4}
SAVE_AS_GREY = "Save it as 8-bit grey with the numbers themselves."


def read_label(
    path: Path, allowed: Iterable[int], remedy: str = SAVE_AS_GREY
) -> NDArray[np.integer]:
    """Return the numbers that a label PNG with one channel stands for, H×W.

    - A palette with colours: the indices.
    - A palette of greys: the grey levels that are shown. If it is an even ramp from black to white,
      as made for the eye, the indices or the levels, whichever are allowed.
    - 1, 2 or 4 bits of grey: likewise the levels of 0 to 255 that are shown, or the numbers stored.
    - 8 or 16 bits of grey: the grey levels.

    Args:
        path: The file.
        allowed: The numbers that the labels may hold.
        remedy: What to do about a file that may be read in two ways, as a sentence.

    Raises:
        DatasetError: The file is missing, damaged, no PNG, has several channels, or both what it
            shows and what it stores are allowed and they differ.
    """
    image = _opened(path)
    raw_mode = read_header(path, LABEL_FORMATS).raw_mode
    if image.mode == "P":
        levels = _grey_levels(image)
    elif raw_mode in _FEW_BITS:
        levels = np.linspace(0, _WHITE, 2 ** _FEW_BITS[raw_mode]).astype(np.uint8)
    elif image.mode in _WHOLE:
        levels = None
    else:
        raise DatasetError(
            f"{path} is of mode {image.mode}; a label file has one channel that holds a number "
            "per pixel (8-bit grey, palette or 16-bit grey PNG, without transparency). If it shows "
            "classes as colours, export class numbers instead."
        )
    values: NDArray[np.integer] = np.array(image)
    if levels is None:
        return values
    if raw_mode in _FEW_BITS:
        # Pillow stretches grey levels of 2 and 4 bits to 8 bits, and gives truth values for 1 bit.
        values = values // levels[1] if raw_mode != "1" else values.astype(np.uint8)
    used = np.unique(values)
    if used.max(initial=0) >= len(levels):
        return values
    shown = levels[used]
    if np.array_equal(shown, used) or len(np.unique(shown)) < len(used):
        return values
    if _made_for_the_eye(levels):
        wanted = np.fromiter(allowed, dtype=np.int64)
        if np.isin(used, wanted).all():
            if np.isin(shown, wanted).all():
                raise DatasetError(
                    f"{path} stores {_listed(used)} and shows {_listed(shown)} as grey levels; "
                    f"both may be meant. {remedy}"
                )
            return values
    resolved: NDArray[np.integer] = levels[values]
    return resolved


def label_header(path: Path) -> Header:
    """Return what a label file says of its picture; nothing is decoded.

    Raises:
        DatasetError: The file is missing, damaged or no PNG.
    """
    with _lossy_explained(path):
        return read_header(path, LABEL_FORMATS)


def _opened(path: Path) -> Image.Image:
    with _lossy_explained(path):
        return open_picture(path, LABEL_FORMATS)


@contextmanager
def _lossy_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except DatasetError as error:
        found = file_format(path)
        if found in (None, *LABEL_FORMATS):
            raise
        raise DatasetError(
            f"{path} holds {found} data, whatever its name says. A label has to be a PNG, which "
            "keeps every number; JPEG and other lossy formats change numbers at the borders of the "
            "classes. Export the label again as PNG from where it was drawn."
        ) from error


def _grey_levels(image: Image.Image) -> NDArray[np.uint8] | None:
    """Return the grey level of each palette entry, or None if some entry has a colour.

    Entries that only fill the palette up with black are cut off.
    """
    palette = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    if (palette != palette[:, :1]).any():
        return None
    levels = palette[:, 0]
    end = int(np.flatnonzero(levels).max(initial=-1)) + 1
    return levels[: end + (0 not in levels[:end])]


def _made_for_the_eye(levels: NDArray[np.uint8]) -> bool:
    """Tell whether grey levels climb evenly from black to white."""
    even = np.linspace(0, _WHITE, len(levels))
    return len(levels) > 1 and bool((np.abs(levels - even) < 1).all())


def _listed(values: NDArray[np.integer]) -> str:
    named = ", ".join(str(value) for value in values[:4].tolist())
    return named + (", ..." if len(values) > 4 else "")

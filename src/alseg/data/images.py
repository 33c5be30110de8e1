"""Reading photographs and label files with Pillow, and refusing what cannot be read right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from alseg.errors import DatasetError

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_TURNED_BY_A_QUARTER = (5, 6, 7, 8)


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width as the image is to be looked at, from the file's header alone.

    Raises:
        DatasetError: The file is missing or is not an image.
    """
    with _opened(path) as image:
        if is_turned(image):
            return image.width, image.height
        return image.height, image.width


def is_turned(image: Image.Image) -> bool:
    """Tell whether the camera noted that the stored image is to be turned by a quarter."""
    return _orientation(image) in _TURNED_BY_A_QUARTER


def _orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation from the header, None where there is none."""
    # A PNG may carry EXIF behind its pixels; looking for it there would decode the image.
    if image.format == "PNG" and "exif" not in image.info:
        return None
    orientation: int | None = image.getexif().get(ExifTags.Base.Orientation)
    return orientation


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the image as RGB, H×W×3, turned as the camera's EXIF note says.

    Grey images become three equal channels, 16-bit ones keep their upper 8 bits, transparency is
    dropped.

    Raises:
        DatasetError: The file is missing, damaged, or holds floating-point values.
    """
    with _opened(path) as image:
        if image.mode == "F":
            raise DatasetError(
                f"{path} holds floating-point values, whose range is unknown. "
                "Convert it to 8 or 16 bits."
            )
        turned = ImageOps.exif_transpose(image) if _orientation(image) else image
        if turned.mode in _SIXTEEN_BIT:
            grey = np.asarray(turned).astype(np.int64)
            if grey.min() < 0 or grey.max() >= 2**16:
                raise DatasetError(f"{path} holds values beyond 16 bits. Convert it to 8 bits.")
            return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
        if turned.mode == "P" and "transparency" in turned.info:
            turned = turned.convert("RGBA")
        return np.array(turned.convert("RGB"))


def read_indices(path: Path) -> NDArray[np.integer]:
    """Return the values of a label PNG with one channel, H×W: grey levels or palette indices.

    Raises:
        DatasetError: The file is missing, damaged, or has several channels.
    """
    with _opened(path) as image:
        if image.mode not in ("1", "L", "P", *_SIXTEEN_BIT):
            raise DatasetError(
                f"{path} is of mode {image.mode}; a label file has one channel that holds a number "
                "per pixel (8-bit grey, palette or 16-bit grey PNG). If it shows classes as "
                "colours, export class numbers instead."
            )
        depth = _scaled_grey(image)
        values = np.array(image)
    if values.dtype == bool:
        return values.astype(np.uint8)
    return values // depth if depth > 1 else values


def _scaled_grey(image: Image.Image) -> int:
    """Return the factor by which Pillow stretches grey levels of 2 or 4 bits to 8 bits."""
    tile: Any = getattr(image, "tile", None)
    raw_mode = tile[0][3] if tile else None
    return {"L;2": 85, "L;4": 17}.get(raw_mode, 1) if isinstance(raw_mode, str) else 1


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path} is gone: it was there when the data set was opened. Put it back."
        ) from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:
        raise DatasetError(
            f"{path} cannot be read as an image ({error}). "
            "It may be truncated or damaged: copy it again, or take it out of the data."
        ) from error

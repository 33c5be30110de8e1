"""Opening pictures with Pillow: the documented formats alone, and upright."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from alseg.errors import DatasetError

IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""The formats that an image may have, whatever its name ends in."""

LABEL_FORMATS = ("PNG",)
"""The formats that a label file may have: lossless, one number per pixel."""

_DEEP_GREY = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")
_UPRIGHT = 1
# By the EXIF standard's words on which edges the 0th row and the 0th column are.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTERS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before anything is decoded.

    Attributes:
        height: In pixels, of the picture as it is looked at.
        width: In pixels, of the picture as it is looked at.
        orientation: How the stored pixels are to be turned, 1 to 8 as in EXIF; 1 is upright.
        mode: Pillow's name for the kind of pixels, such as ``RGB`` or ``I;16``; empty if Pillow
            does not know it.
        raw_mode: Pillow's name for how they are stored, such as ``L;4``; empty if unknown.
        channels: How many numbers a pixel has; those of a palette are three.
        deep: Whether channels have more than 8 bits, signs, or floating-point values.
    """

    height: int
    width: int
    orientation: int
    mode: str
    raw_mode: str
    channels: int
    deep: bool

    @property
    def turned(self) -> bool:
        """Whether the stored pixels are turned or mirrored against the picture."""
        return self.orientation != _UPRIGHT

    @property
    def by_a_quarter(self) -> bool:
        """Whether height and width change places as the stored pixels are turned."""
        return self.orientation in _QUARTERS


def open_picture(
    source: Path | IO[bytes], formats: Sequence[str] = IMAGE_FORMATS, name: str = ""
) -> Image.Image:
    """Return a picture from outside, decoded and upright.

    It is turned once, as its EXIF or TIFF tags say; tags that cannot be read do not count. No other
    decoder runs than those of ``formats``, whatever the file holds.

    Args:
        source: The file, or its opened content.
        formats: Pillow's names of the formats to accept.
        name: What to call the source in an error; a path names itself.

    Raises:
        DatasetError: The file is missing, of another format, damaged or too large.
    """
    with _opened(source, formats, name) as image:
        orientation = _header(image).orientation
        if orientation in _QUARTERS:
            # With its name, Pillow maps an uncompressed TIFF into memory, at the wrong width.
            image.filename = ""
        image.load()
        turn = _TURNS.get(orientation)
        # Pillow turns a TIFF itself while decoding it.
        return image if turn is None or image.format == "TIFF" else image.transpose(turn)


def read_header(source: Path, formats: Sequence[str] = IMAGE_FORMATS) -> Header:
    """Return what a file says of its picture; nothing is decoded.

    Raises:
        DatasetError: The file is missing, of another format, damaged or too large.
    """
    with _opened(source, formats) as image:
        return _header(image)


def file_format(source: Path | IO[bytes]) -> str | None:
    """Return which of the documented formats a file holds; None if none or if it is damaged."""
    try:
        with Image.open(source, formats=list(IMAGE_FORMATS)) as image:
            found: str | None = image.format
            return found
    except Exception:  # What Pillow raises depends on which bytes are wrong.
        return None


def _header(image: Image.Image) -> Header:
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    orientation = _orientation(image)
    # Some releases of Pillow give the size of a TIFF as stored, others as it is looked at.
    width = int(tags.get(ExifTags.Base.ImageWidth, image.width))
    height = int(tags.get(ExifTags.Base.ImageLength, image.height))
    if orientation in _QUARTERS:
        width, height = height, width
    tile = getattr(image, "tile", None)
    raw_mode = tile[0][3] if tile else ""
    if isinstance(raw_mode, tuple):
        raw_mode = raw_mode[0] if raw_mode else ""
    mode, raw_mode = image.mode, str(raw_mode or "")
    # Of grey with transparency in 16 bits Pillow makes colours.
    channels = 2 if raw_mode.startswith("LA;") else 3 if mode == "P" else len(image.getbands())
    deep = mode in _DEEP_GREY or ";16" in raw_mode
    return Header(height, width, orientation, mode, raw_mode, channels, deep)


def _orientation(image: Image.Image) -> int:
    # A PNG may carry EXIF behind its pixels; looking for it there would decode the image.
    if image.format == "PNG" and "exif" not in image.info:
        return _UPRIGHT
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # What Pillow raises depends on which bytes of the tags are wrong.
        return _UPRIGHT
    return orientation if isinstance(orientation, int) and orientation in _TURNS else _UPRIGHT


@contextmanager
def _opened(
    source: Path | IO[bytes], formats: Sequence[str], name: str = ""
) -> Iterator[ImageFile.ImageFile]:
    name = name or str(source)
    try:
        with warnings.catch_warnings():
            # Of tags that are damaged, and of many pixels, Pillow warns in words for programmers.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(source, formats=list(formats)) as image:
                yield image
    except FileNotFoundError as error:
        raise DatasetError(
            f"{name} is gone: it was there when the data set was opened. Put it back."
        ) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        most = f"more than {limit} million pixels are not read" if limit else "no memory for it"
        raise DatasetError(
            f"{name} is too large for one image: {most}. Cut it into tiles."
        ) from error
    except UnidentifiedImageError as error:
        found = file_format(source)
        what = f"it holds {found} data, whatever its name says" if found else "it is none of them"
        raise DatasetError(
            f"{name} cannot be read as an image: {', '.join(formats)} "
            f"{'is' if len(formats) == 1 else 'are'} read, and {what}. "
            "It may be damaged: copy it again, convert it, or take it out of the data."
        ) from error
    except Exception as error:  # A damaged file may raise anything in one of Pillow's decoders.
        raise DatasetError(
            f"{name} cannot be read as an image ({str(error) or type(error).__name__}). "
            "It may be truncated or damaged: copy it again, or take it out of the data."
        ) from error


def decode_deep(path: Path, header: Header) -> NDArray[np.generic]:
    """Decode several channels of more than 8 bits, of which Pillow would keep 8 bits or nothing.

    Returns:
        H×W×C, upright, as stored: red before blue, transparency last.

    Raises:
        DatasetError: The file is damaged.
    """
    import cv2

    # Decoded by Pillow first, which refuses what is damaged; OpenCV fills gaps with black.
    if header.mode:
        open_picture(path)
    decoded = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 3 or (header.deep and decoded.dtype.itemsize < 2):
        raise DatasetError(
            f"{path} cannot be read as an image of {header.channels} channels of more than 8 "
            "bits. Save it as a PNG or an uncompressed TIFF."
        )
    # OpenCV has blue first, and of grey with transparency three equal channels.
    order = [0, 3] if header.channels == 2 else [2, 1, 0, 3][: decoded.shape[2]]
    values: NDArray[np.generic] = decoded[..., order]
    # OpenCV turns a TIFF while decoding it, as Pillow does, but no PNG.
    return upright(values, header.orientation) if file_format(path) == "PNG" else values


def upright(values: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Turn stored pixels, H×W×C, as an EXIF orientation says."""
    if orientation in _QUARTERS:
        values = values.swapaxes(0, 1)
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return values[:: -1 if rows else 1, :: -1 if columns else 1]

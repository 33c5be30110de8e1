"""Images of any number of channels: what their files say of them, and their values as stored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from alseg.data.images import Header, decode_deep, open_picture, read_header, upright
from alseg.errors import DatasetError

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# By the names of the TIFF standard.
_BITS, _SAMPLES, _PLANES, _FORMATS = 258, 277, 284, 339
_PLACES = ((273, 279), (324, 325))
"""Where the data of strips and of tiles begin, and how many bytes they have."""


def read_any_header(path: Path) -> Header:
    """Return what a file says of its picture, whatever its channels; nothing is decoded.

    Raises:
        DatasetError: The file is missing, of another format, damaged or too large.
    """
    header = _tiff_header(_tiff_tags(path))
    try:
        known = read_header(path)
    except DatasetError:
        # Pillow knows no TIFF of many channels, or of several that have floats or signs.
        if header is None or header.height * header.width > 2 * (Image.MAX_IMAGE_PIXELS or np.inf):
            raise
        return header
    # It leaves channels out that are neither colours nor transparency.
    if header is not None and known.mode != "P" and header.channels > known.channels:
        return header
    return known


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width as the image is to be looked at, from the file's header alone.

    Raises:
        DatasetError: The file is missing or is not an image.
    """
    header = read_any_header(path)
    return header.height, header.width


def read_channels(path: Path) -> NDArray[np.generic]:
    """Return what an image stores, upright: H×W×C, grey with one channel, transparency as the last.

    A palette becomes the colours that it means.

    Raises:
        DatasetError: The file is missing or damaged, or a package is missing that reads it.
    """
    header = read_any_header(path)
    tags = _tiff_tags(path)
    several = header.channels > 1
    if tags is not None and (not header.mode or (header.deep and several)):
        return _read_tiff(path, header, tags)
    if header.deep and several:
        return decode_deep(path, header)
    image = open_picture(path)
    if image.mode == "P":
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    values: NDArray[np.generic] = np.array(image)
    return values if values.ndim == 3 else values[..., None]


def _tiff_tags(path: Path) -> dict[int, Any] | None:
    """Return the tags of a TIFF's first picture; None of a file that is none, or damaged."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if not head.startswith(_TIFF):
                return None
            if head[2] == ord("+"):
                head += file.read(8)
            directory = ImageFileDirectory_v2(head)
            file.seek(directory.next)
            with warnings.catch_warnings():
                # Of tags that are damaged, Pillow warns in words for programmers.
                warnings.filterwarnings("ignore", module=r"PIL\.")
                directory.load(file)
                return dict(directory)
    except Exception:  # What Pillow raises depends on which bytes of the tags are wrong.
        return None


def _tiff_header(tags: dict[int, Any] | None) -> Header | None:
    try:
        assert tags is not None
        width, height = int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
        orientation = int(tags.get(ExifTags.Base.Orientation, 1))
        bits, formats = tags.get(_BITS, 1), tags.get(_FORMATS, 1)
        deep = bits not in ((8,) * len(bits), 8) if isinstance(bits, tuple) else bits > 8
        plain = {formats} if isinstance(formats, int) else set(formats)
        channels = int(tags.get(_SAMPLES, 1))
    except (AssertionError, KeyError, TypeError, ValueError):
        return None
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return Header(height, width, orientation, "", "", channels, deep or plain != {1})


def _read_tiff(path: Path, header: Header, tags: dict[int, Any]) -> NDArray[np.generic]:
    size = path.stat().st_size
    for begin, length in _PLACES:
        starts, lengths = np.atleast_1d(tags.get(begin, ())), np.atleast_1d(tags.get(length, ()))
        if len(starts) != len(lengths) or (starts + lengths > size).any():
            raise DatasetError(
                f"{path} is truncated: its tags name data behind its end. Copy it again, or take "
                "it out of the data."
            )
    # OpenCV knows TIFFs of up to four channels beside each other, and of two not.
    if header.channels in (3, 4) and tags.get(_PLANES, 1) == 1:
        values = decode_deep(path, header)
    else:
        values = _by_tifffile(path, header)
    if values.shape != (header.height, header.width, header.channels):
        raise DatasetError(
            f"{path} holds {'x'.join(map(str, values.shape))} values, but its tags say "
            f"{header.height}x{header.width}x{header.channels} (height x width x channels). It "
            "may be damaged: copy it again, or take it out of the data."
        )
    return values


def _by_tifffile(path: Path, header: Header) -> NDArray[np.generic]:
    try:
        import tifffile
    except ImportError as error:
        raise DatasetError(
            f"{path} is a TIFF of {header.channels} channels, which the package tifffile reads; "
            "install it by `pip install tifffile`."
        ) from error
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            values: NDArray[np.generic] = np.asarray(page.asarray())
            planes_first = page.axes.startswith("S")
    except Exception as error:  # What it raises depends on which bytes are wrong.
        raise DatasetError(
            f"{path} cannot be read as an image ({error}). It may be damaged, or compressed in a "
            "way that tifffile alone does not know (`pip install imagecodecs`)."
        ) from error
    values = values if values.ndim == 3 else values[..., None]
    return upright(np.moveaxis(values, 0, -1) if planes_first else values, header.orientation)

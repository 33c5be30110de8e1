"""Images of any number of channels: what their files say of them, and their values as stored."""

from __future__ import annotations

import warnings
from dataclasses import replace
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
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANES, _FORMATS = 258, 262, 277, 284, 339
_GREY_OR_RGB = (0, 1, _RGB := 2)
_KINDS_OF_OPENCV = ((8, 1), (16, 1), (16, 2), (32, 2), (32, 3), (64, 3))
"""Bits and format of a number: 1 for unsigned integers, 2 for signed, 3 for floats."""
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
    if header is None or known.mode == "P":
        return known
    # It leaves channels out that are neither colours nor transparency, makes 8 bits of 16 in
    # several planes, and takes signed bytes as unsigned.
    return replace(known, channels=max(header.channels, known.channels), deep=header.deep)


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width as the image is to be looked at, from the file's header alone.

    Raises:
        DatasetError: The file is missing or is not an image.
    """
    header = read_any_header(path)
    return header.height, header.width


def read_values(path: Path) -> NDArray[np.generic]:
    """Return what an image stores as colours, upright: H×W×3 as stored, 8 bits or more.

    Grey becomes three equal channels; transparency and a fourth channel are dropped.

    Raises:
        DatasetError: The file is missing or damaged, its channels are not grey or RGB, or a
            package is missing that reads it.
    """
    header = read_any_header(path)
    if not header.deep and header.mode:
        image = open_picture(path)
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return np.array(image.convert("RGB"))
    photometric = (_tiff_tags(path) or {}).get(_PHOTOMETRIC, _RGB)
    if photometric not in _GREY_OR_RGB or header.channels > 4:
        raise DatasetError(
            f"{path} has {header.channels} channels that are not grey or RGB. Write "
            f"`channels: {header.channels}` into the description of the data, or convert it to RGB."
        )
    values = read_channels(path)
    return values[..., :3] if header.channels > 2 else values[..., [0, 0, 0]]


def read_channels(path: Path) -> NDArray[np.generic]:
    """Return what an image stores, upright: H×W×C, grey with one channel, transparency as the last.

    A palette becomes the colours that it means.

    Raises:
        DatasetError: The file is missing or damaged, or a package is missing that reads it.
    """
    header = read_any_header(path)
    tags = _tiff_tags(path)
    several = header.channels > 1
    pillow = bool(header.mode) and (
        header.mode == "P" or Image.getmodebands(header.mode) == header.channels
    )
    if tags is not None and (not pillow or (header.deep and several)):
        return _read_tiff(path, header, tags)
    if header.deep and several:
        return decode_deep(path, header)
    image = open_picture(path)
    if image.mode == "P":
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    values: NDArray[np.generic] = np.array(image)
    if tags is not None:
        # Pillow takes signed bytes as unsigned, and 32 bits without a sign as signed.
        misread = {(8, 2): np.int8, (32, 1): np.uint32}.get(_number_kind(tags))
        values = values if misread is None else values.view(misread)
    return values if values.ndim == 3 else values[..., None]


def _tiff_tags(path: Path) -> dict[int, Any] | None:
    """Return the tags of a TIFF's first picture; None if the file is no TIFF, or damaged."""
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
    return Header(height, width, orientation, "", "", channels, deep or not plain <= {1, 4})


def _number_kind(tags: dict[int, Any]) -> tuple[int, int]:
    """Return bits and format of all channels, as the tags have them; -1 where they differ."""
    bits, formats = (
        set(np.atleast_1d(tags.get(_BITS, 1))),
        set(np.atleast_1d(tags.get(_FORMATS, 1))),
    )
    return (
        int(bits.pop()) if len(bits) == 1 else -1,
        int(formats.pop()) if len(formats) == 1 else -1,
    )


def _read_tiff(path: Path, header: Header, tags: dict[int, Any]) -> NDArray[np.generic]:
    size = path.stat().st_size
    for begin, length in _PLACES:
        starts, lengths = np.atleast_1d(tags.get(begin, ())), np.atleast_1d(tags.get(length, ()))
        if len(starts) != len(lengths) or (starts + lengths > size).any():
            raise DatasetError(
                f"{path} is truncated: its tags name data behind its end. Copy it again, or take "
                "it out of the data."
            )
    # OpenCV knows TIFFs of three and four channels beside each other, of some kinds of numbers.
    beside = header.channels in (3, 4) and tags.get(_PLANES, 1) == 1
    if beside and _number_kind(tags) in _KINDS_OF_OPENCV:
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
            f"{path} is a TIFF of {header.channels} channels of a kind that only the package "
            "tifffile reads; install it by `pip install tifffile`."
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

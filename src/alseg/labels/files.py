"""Files of a store: on disk when the call returns, and maps as PNGs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.errors import LabelStoreError
from alseg.storage.durable import replace_durably, write_synced


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until the storage has it.

    Raises:
        LabelStoreError: The file cannot be written.
    """
    with writing(path):
        write_synced(path, data)


def replace_in_store(path: Path, data: bytes) -> None:
    """Put a file in the place of another, at once, and wait until the storage has it.

    Raises:
        LabelStoreError: The file cannot be written; the old one is there still.
    """
    with writing(path):
        replace_durably(path, data)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file of a store cannot be written, and why.

    Raises:
        LabelStoreError: The body could not write.
    """
    try:
        yield
    except OSError as error:
        raise LabelStoreError(
            f"Cannot write {path}: {error.strerror or error}. Committed rounds are untouched; "
            "free some space or allow writing, then go on with `alseg fit --resume RUN`."
        ) from error


def encode_png(values: NDArray[np.uint8]) -> bytes:
    """Return an H×W map as an 8-bit greyscale PNG."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(data: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the map of an 8-bit greyscale PNG.

    Args:
        data: The content of the file.
        shape: Height and width that the map has to have.

    Raises:
        ValueError: It is no PNG, or one of another kind or size.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            mode, values = image.mode, np.array(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("it is not a PNG that can be read") from error
    if mode != "L":
        raise ValueError(f"PNG of mode {mode}, expected 8-bit greyscale")
    if values.shape != shape:
        raise ValueError(f"it is {values.shape}, the image {shape}")
    return values

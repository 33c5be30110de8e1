"""Files that are on disk when the call returns, and that notice when they are damaged."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.errors import LabelStoreError
from alseg.storage.durable import replace_durably, write_synced

LARGEST = 2 << 30
"""Bytes of the largest file that is read."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, however large it is.

    Raises:
        ValueError: It cannot be read, or is not an ordinary file.
    """
    computed = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while part := file.read(1 << 20):
                computed.update(part)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    return computed.hexdigest()


def read_regular(path: Path) -> bytes:
    """Return the content of an ordinary file; what never ends or waits for somebody is not read.

    Raises:
        OSError: It cannot be read.
        ValueError: It is a device, a pipe or a folder, or has more than two gigabytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise ValueError(f"it has {size:,} bytes, more than alseg ever writes")
        return file.read(LARGEST + 1)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open an ordinary file for reading.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is a device, a pipe or a folder.
    """
    # The built-in function alone takes an opener.
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not an ordinary file")
        yield file


def _open_at_once(path: str, flags: int) -> int:
    # Opening a pipe waits for whoever writes to it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_inside(folder: Path, path: Path) -> None:
    """Check that a path that a file named stays in a folder, also where links lead.

    Raises:
        LabelStoreError: It leads out.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise LabelStoreError(
            f"{path} leads out of {folder}, and is neither read nor written. Remove it, or restore "
            "the folder from a copy."
        )


def read_unchanged(path: Path, expected: str) -> bytes:
    """Return the content of a file whose digest is known.

    Raises:
        ValueError: The file cannot be read, or its content has another digest.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if digest(data) != expected:
        raise ValueError("its content is not what was written")
    return data


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


def encode_json(content: dict[str, Any]) -> bytes:
    """Return ``content`` as readable JSON that carries a digest of itself."""
    sealed = {**content, "digest": _seal(content)}
    return (json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def decode_json(data: bytes) -> dict[str, Any]:
    """Return what ``encode_json`` was given.

    Raises:
        ValueError: The data is not such JSON, or was changed since.
    """
    try:
        content = json.loads(data, parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        if content.pop("digest", None) != _seal(content):
            raise ValueError("the content does not match its digest")
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return content


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _seal(content: dict[str, Any]) -> str:
    # Through JSON once, so that tuples and integer keys are sealed as they will be read back.
    return digest(json.dumps(json.loads(json.dumps(content)), sort_keys=True).encode())

"""Ordinary files, read whole and known by their digests; nothing that waits or never ends."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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

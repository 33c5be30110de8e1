"""The archive of a round: all its files in one, so that a run stays easy to copy."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from alseg.storage.regular_files import open_regular

# Of a member's header: its length, and where the lengths of the name and of the rest are stored.
HEADER = 30
LENGTHS = struct.Struct("<26xHH")

# The oldest date that the format knows: the same files give the same bytes at any time.
DATE = (1980, 1, 1, 0, 0, 0)


def write_archive(path: Path, folder: Path, names: Iterable[str]) -> None:
    """Write files into a ZIP archive without compression, and wait until the storage has it.

    The archive depends on the names and contents alone. PNGs are compressed as they are.

    Args:
        path: The archive.
        folder: The folder that the names begin in.
        names: Relative paths with ``/``, in the order in which they are written.

    Raises:
        OSError: A file cannot be read, or the archive cannot be written.
    """
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                member = zipfile.ZipInfo(name, DATE)
                member.create_system = 3  # Unix on every system, for the permissions.
                member.external_attr = 0o644 << 16
                member.file_size = (folder / name).stat().st_size
                with (folder / name).open("rb") as source, archive.open(member, "w") as target:
                    shutil.copyfileobj(source, target)
        file.flush()
        os.fsync(file.fileno())


class Archive:
    """Reads the files of an archive, in any number of threads and forked processes at once.

    Attributes:
        path: The archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def members(self) -> dict[str, zipfile.ZipInfo]:
        """The files in the archive, by name.

        Raises:
            ValueError: The archive is missing or damaged.
        """
        try:
            with open_regular(self.path) as file, zipfile.ZipFile(file) as archive:
                return {member.filename: member for member in archive.infolist()}
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from error
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
            raise ValueError(f"the archive is damaged ({error})") from error

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            ValueError: The archive is damaged or has no such file.
        """
        member = self.members.get(name)
        if member is None:
            raise ValueError("the archive lacks it")
        try:
            # Opened for each read: processes that are forked share the position of an open file.
            with open_regular(self.path) as file:
                file.seek(member.header_offset)
                start = member.header_offset + HEADER + sum(LENGTHS.unpack(file.read(HEADER)))
                if start + member.file_size > os.fstat(file.fileno()).st_size:
                    raise ValueError("the archive is cut off")
                file.seek(start)
                return file.read(member.file_size)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from error
        except struct.error as error:
            raise ValueError("the archive is cut off") from error

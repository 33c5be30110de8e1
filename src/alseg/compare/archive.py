"""Runs in one file: what a comparison reads of them, to keep or to hand on."""

from __future__ import annotations

import errno
import io
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from alseg.config.run_files import ANALYSIS, CONFIG, PROVENANCE, SUMMARY
from alseg.errors import CompareError
from alseg.labels.archive import DATE
from alseg.storage.links import refuse_links_out

FORMAT = b"alseg: runs to compare, format 1"
"""The comment of every archive: who wrote it, and how to read it."""

MOST_BYTES = 1 << 29
"""What the files of an archive may have together, unpacked."""

MOST_FILES = 100_000

LONGEST_NAME = 4096
"""Characters that a path may have."""

ENCRYPTED = 1
"""Bit of a member's flags."""

RUN_FILES = (CONFIG, PROVENANCE, SUMMARY)
"""What is kept of a run, beside all files in its folder of analysis."""


class ArchivedPath:
    """A file or folder in an archive, which is read like one on disk.

    Args:
        path: What it was called on the command line when the archive was written.
        files: The files of its run.
    """

    def __init__(self, path: PurePosixPath, files: Mapping[PurePosixPath, bytes]) -> None:
        self._path = path
        self._files = files

    def __str__(self) -> str:
        return str(self._path)

    def __truediv__(self, name: str) -> ArchivedPath:
        return ArchivedPath(self._path / name, self._files)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._path.name

    def is_file(self) -> bool:
        """Whether there is such a file."""
        return self._path in self._files

    def read_bytes(self) -> bytes:
        """Return the content of the file.

        Raises:
            FileNotFoundError: There is none.
        """
        try:
            return self._files[self._path]
        except KeyError:
            missing = errno.ENOENT
            raise FileNotFoundError(missing, os.strerror(missing), str(self)) from None

    def read_text(self, encoding: str) -> str:
        """Return the content of the file as text.

        Raises:
            FileNotFoundError: There is none.
        """
        return self.read_bytes().decode(encoding)

    def glob(self, pattern: str) -> Iterator[ArchivedPath]:
        """Yield the files in the folder, not in those below, whose names fit a pattern."""
        for path in self._files:
            if path.parent == self._path and fnmatchcase(path.name, pattern):
                yield ArchivedPath(path, self._files)

    def files(self) -> list[PurePosixPath]:
        """Return the files of the run, by their paths in its folder."""
        return sorted(path.relative_to(self._path) for path in self._files)


Place = Path | ArchivedPath
"""Where a run is read."""


def archive_of(runs: Sequence[Place]) -> bytes:
    """Return an archive of runs, whose bytes depend on their names and files alone.

    The runs are called in it as they were named, so that a comparison of the archive is that of the
    folders. Where a name is absolute or climbs, all are called by their paths below the last folder
    that holds them all.

    Args:
        runs: Their folders.

    Raises:
        CompareError: A file cannot be read or called so in an archive, two runs have the same name,
            or their files are too many or too large.
        FolderLeadsOut: A link in a run leads out of it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = FORMAT
        for run, name in zip(runs, _names(runs), strict=True):
            for file in _files_of(run):
                member = zipfile.ZipInfo(str(name / file), DATE)
                member.create_system = 3  # Unix on every system, for the permissions.
                member.external_attr = 0o644 << 16
                content = _content(run / str(file))
                archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=9)
    data = buffer.getvalue()
    try:
        _checked(data)
    except ValueError as error:
        raise CompareError(f"These runs cannot be archived: {error}.") from error
    return data


def read_archive(path: Path) -> list[ArchivedPath]:
    """Return the folders of the runs in an archive, in the order in which they were written.

    Nothing is unpacked on disk, and the whole archive is checked first: it may come from elsewhere.

    Raises:
        CompareError: It cannot be read, or is not what `archive_of` returns.
    """
    try:
        with path.open("rb") as opened:
            files = _checked(opened.read(MOST_BYTES + 1))
    except OSError as error:
        raise CompareError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise CompareError(
            f"{path} cannot be compared: {error}. Name folders of runs, or a file that "
            "`alseg compare RUNS --archive FILE.zip` wrote."
        ) from error
    runs: dict[PurePosixPath, dict[PurePosixPath, bytes]] = {
        file.parent: {} for file in files if file.name in (CONFIG, SUMMARY)
    }
    for file, content in files.items():
        for above in file.parents:
            if above in runs:
                runs[above][file] = content
    return [ArchivedPath(run, own) for run, own in runs.items()]


def is_archive(path: Path) -> bool:
    """Tell whether a file is an archive of runs, by what it says of itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == FORMAT
    except (OSError, zipfile.BadZipFile):
        return False


def _checked(data: bytes) -> dict[PurePosixPath, bytes]:
    """Return the files in an archive.

    Raises:
        ValueError: It is damaged, too large, or holds what no archive of runs does.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"there is more than {MOST_BYTES >> 20} MB of it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.comment != FORMAT:
                raise ValueError("it is another ZIP archive than those of runs")
            members = archive.infolist()
            _check_members(members)
            return {PurePosixPath(one.filename): archive.read(one) for one in members}
    except ValueError:
        raise
    except Exception as error:
        # What zipfile and zlib raise of a damaged archive is not written down.
        raise ValueError(f"it is no ZIP archive, or damaged ({error})") from error


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    """Check what an archive states of its files, before any is unpacked.

    Raises:
        ValueError: There is too much of it, or it is none that a comparison writes.
    """
    if len(members) > MOST_FILES:
        raise ValueError(f"it holds more than {MOST_FILES:,} files")
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise ValueError(f"its files have more than {MOST_BYTES >> 20} MB together")
    seen: set[str] = set()
    for member in members:
        name = member.filename
        path = PurePosixPath(name)
        leads_out = path.is_absolute() or ".." in path.parts or "\\" in name
        if leads_out or str(path) != name or len(name) > LONGEST_NAME:
            raise ValueError(f"the name {name!r:.200} in it is no path inside a folder")
        if name in seen:
            raise ValueError(f"it holds {name!r} twice")
        seen.add(name)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ValueError(f"{name!r} in it is a link or a device")
        if member.flag_bits & ENCRYPTED:
            raise ValueError(f"{name!r} in it is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name!r} in it is compressed in another way than by deflate")


def _names(runs: Sequence[Place]) -> list[PurePosixPath]:
    """Return what runs are called in an archive.

    Raises:
        CompareError: Two have the same name.
    """
    named = [Path(str(run)) for run in runs]
    if any(path.is_absolute() or ".." in path.parts for path in named):
        whole = [Path(os.path.normpath(path.absolute())) for path in named]
        top = Path(os.path.commonpath(whole)).parent
        named = [path.relative_to(top) for path in whole]
    names = [PurePosixPath(path.as_posix()) for path in named]
    for name, count in Counter(names).items():
        if count > 1:
            raise CompareError(
                f"{count} runs would be called {name} in the archive. Name them by other paths."
            )
    return names


def _files_of(run: Place) -> list[PurePosixPath]:
    """Return the files of a run that are kept, by their paths in its folder.

    Raises:
        FolderLeadsOut: A link in its folder leads out of it.
    """
    if isinstance(run, ArchivedPath):
        return run.files()
    refuse_links_out(run)
    files = [run / name for name in RUN_FILES] + list((run / ANALYSIS).rglob("*"))
    return sorted(PurePosixPath(f.relative_to(run).as_posix()) for f in files if f.is_file())


def _content(file: Place) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CompareError(f"{file} cannot be read: {error.strerror or error}.") from error

"""Walking folders of images: every file once, whatever links there are."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from alseg.errors import DatasetError

_NOT_OURS = ("$RECYCLE.BIN", "@eaDir", "__MACOSX")
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def files_below(folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Find the files in a folder and in all folders below it, in sorted order.

    Hidden files and folders are left out, and what operating systems put beside images. Links are
    followed, but not to a folder that holds them, and no folder is entered twice: the path without
    links counts.

    Args:
        folder: Where to look.
        wanted: Tells from its name whether a file is looked for.

    Raises:
        DatasetError: A folder cannot be read, or what is looked for is not a file.
    """
    found: list[Path] = []
    entered: set[tuple[int, int]] = set()
    real = os.path.realpath(folder)
    folders: deque[tuple[Path, str, tuple[str, ...]]] = deque([(folder, real, ())])
    linked: deque[tuple[Path, str, tuple[str, ...]]] = deque()
    while folders or linked:
        where, real, hops = folders.popleft() if folders else linked.popleft()
        status = _status(where)
        if status is None or (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in _entries(where):
            if entry.is_file(follow_symlinks=False):
                if wanted(entry.name):
                    found.append(where / entry.name)
                continue
            path = where / entry.name
            status = _status(path)
            if status is not None and stat.S_ISDIR(status.st_mode):
                if not entry.is_symlink():
                    folders.append((path, os.path.join(real, entry.name), hops))  # noqa: PTH118
                    continue
                target = os.path.realpath(path)
                if not any(_holds(target, place) for place in (real, *hops)):
                    linked.append((path, target, (*hops, real)))
            elif wanted(entry.name):
                _require_file(path, status)
                found.append(path)
    return sorted(found, key=str)


def require_file(path: Path) -> Path:
    """Return the path if it is that of a file, which may be a link.

    Raises:
        DatasetError: It is a pipe, a socket, a device, or a link to nothing.
    """
    _require_file(path, _status(path))
    return path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (
                    entry
                    for entry in entries
                    if not entry.name.startswith(".") and entry.name not in _NOT_OURS
                ),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise DatasetError(
            f"The folder {folder} cannot be read: {error.strerror or error}. "
            "Allow it to be read, or take it out of the data."
        ) from error


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _require_file(path: Path, status: os.stat_result | None) -> None:
    if status is None:
        what = "is a link to nothing" if path.is_symlink() else "cannot be read"
        raise DatasetError(
            f"{path} {what}: there is no file {os.path.realpath(path)}. Put the file there, or "
            "take it out of the data."
        )
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "of another kind")
        raise DatasetError(
            f"{path} is {kind}, not a file, and is not opened. Take it out of the data."
        )


def _holds(folder: str, inner: str) -> bool:
    return inner == folder or inner.startswith(folder.rstrip(os.sep) + os.sep)

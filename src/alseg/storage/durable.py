"""Files that survive a crash: each is on disk, whole, or as it was before."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

Data = bytes | memoryview

NO_SUCH_CALL = (errno.EINVAL, errno.ENOTSUP)
"""What file systems say that cannot be asked to wait for the names in a folder."""


def draft_of(path: Path) -> Path:
    """Return where a file is written before it takes the place of the one at ``path``."""
    return path.with_name(f"{path.name}.part")


def replace_durably(path: Path, data: Data) -> None:
    """Put a file in the place of another, at once, and wait until the storage has it.

    Until then the old file stays. A process that is killed may leave the draft behind, which the
    next call removes.

    Raises:
        OSError: It cannot be written; the old file is there still, and no draft.
    """
    draft = draft_of(path)
    try:
        write_synced(draft, data)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def write_synced(path: Path, data: Data) -> None:
    """Write a file, and its folder if need be, and wait until the storage has it.

    The file is a new one. What had its name is removed and never written to: in a folder from
    elsewhere it may be a link to a file outside, or a pipe.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    # The built-in function alone takes an opener.
    with open(path, "xb", opener=_without_links) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def sync_folder(folder: Path) -> None:
    """Wait until the storage has the names in ``folder``; systems without such a call skip it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:
            raise
    finally:
        os.close(descriptor)

"""One writer a folder."""

from __future__ import annotations

from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from alseg.errors import FolderInUse

LOCK = ".lock"


def lock_folder(folder: Path) -> BaseFileLock:
    """Keep other processes from writing to a folder until the lock is released.

    The system releases it when the process ends, however it ends. A file ``.lock`` stays behind.

    Raises:
        FolderInUse: Another process holds it, or it cannot be locked.
    """
    if (folder / LOCK).is_symlink():
        # Older releases of filelock empty the file that it leads to.
        raise FolderInUse(f"{folder / LOCK} is a link, where a lock is a file. Remove it.")
    # thread_local=False: whoever releases it may be another thread than the one that took it.
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FolderInUse(
            f"Another process is writing to {folder}. Wait until it ends or stop it, or choose "
            f"another folder. If there is no such process on any host, remove {folder / LOCK}."
        ) from error
    except OSError as error:
        raise FolderInUse(
            f"{folder / LOCK} cannot be locked: {error.strerror or error}. Allow writing there, "
            "or use a file system that has locks."
        ) from error
    return lock

"""The folder of a round's answers: locked by whoever takes them, and still the same folder."""

from __future__ import annotations

import os
import stat
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSYS
from io import FileIO
from pathlib import Path
from threading import Condition

from filelock import Timeout

from alseg.errors import FolderInUse, LabelStoreError
from alseg.queries.asked import ANSWERS, AskedRound
from alseg.storage.durable import sync_folder
from alseg.storage.folder_lock import LOCK, lock_folder

if sys.platform != "win32":
    import fcntl

STOPPED = "alseg annotate was stopped. Start it again; pages that are open continue then."


class Stopped(LabelStoreError):
    """An answer to a server that was asked to stop."""


@contextmanager
def lock_answers(asked: AskedRound) -> Iterator[None]:
    """Keep others from writing answers to a round inside the block, or from taking them in.

    The page holds it as long as it runs, since it does not read again what it once read; an import
    while it writes, and a run while it takes the answers in.

    Raises:
        FolderInUse: Somebody else holds it, or the folder cannot be written.
    """
    folder = asked.answers
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FolderInUse(
            f"{folder} cannot be made: {error.strerror or error}. Allow writing there."
        ) from error
    try:
        lock = lock_folder(folder)
    except FolderInUse as error:
        if not isinstance(error.__cause__, Timeout):
            raise
        raise FolderInUse(
            f"Round {asked.number} is being answered: stop `alseg annotate` first (Ctrl-C in its "
            "terminal; every answer is kept), or wait until `alseg import` ends. If neither runs "
            f"on any host, remove {folder / LOCK}."
        ) from error
    try:
        yield
    finally:
        lock.release()


class AnswersFolder:
    """Lets answers into ``answers`` of a round until that is closed, moved or replaced.

    The folder is made here and never by a write, which would make it again under the old name of a
    run that was moved or unmounted meanwhile.

    Attributes:
        path: The folder.
    """

    def __init__(self, round_folder: Path) -> None:
        """Open the folder below that of its round, and make it if need be."""
        self.path = round_folder / ANSWERS
        self._trouble: str | None = None
        self._descriptor: int | None = None
        self._known: dict[Path, tuple[int, int]] = {}
        try:
            self._open()
        except OSError as error:
            self._trouble = error.strerror or str(error)
        self._change = Condition()
        self._writes = 0
        self._ended = False

    @contextmanager
    def writing(self) -> Iterator[int | None]:
        """Keep the folder open for answers inside the block.

        Yields:
            The descriptor of the folder; None where the system opens no folders.

        Raises:
            Stopped: ``end`` was called.
            LabelStoreError: The folder, or the lock in it, is not the one that it was.
        """
        with self._change:
            if self._ended:
                raise Stopped(STOPPED)
            self._writes += 1
        try:
            self.check()
            yield self._descriptor
        finally:
            with self._change:
                self._writes -= 1
                self._change.notify_all()

    @contextmanager
    def appending(self, name: str) -> Iterator[FileIO]:
        """Open a file to append answers to inside the block, while no other process does.

        Args:
            name: The name of the file, which need not be there yet.

        Raises:
            Stopped: ``end`` was called.
            LabelStoreError: The folder, or the lock in it, is not the one that it was.
            OSError: It cannot be opened, or is no ordinary file.
        """
        with self.writing() as folder:

            def open_inside(path: str, flags: int) -> int:
                if folder is None:
                    return os.open(path, flags, 0o666)
                # A pipe would wait for its reader, a link would lead out of the run.
                flags |= os.O_NOFOLLOW | os.O_NONBLOCK
                return os.open(name, flags, 0o666, dir_fd=folder)

            # Without a buffer, as what is left in one is written when the file is closed, also
            # after the disk was full.
            with open(self.path / name, "a+b", buffering=0, opener=open_inside) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise OSError("it is no ordinary file")
                _wait_for(file)
                yield file

    def end(self) -> None:
        """Let no more answers in, and wait for those that are being written."""
        with self._change:
            self._ended = True
            self._change.wait_for(lambda: self._writes == 0)

    def check(self) -> None:
        """Check that the folder, and the lock in it if there was one, are those of the beginning.

        Raises:
            LabelStoreError: They are not.
        """
        if self._trouble is not None:
            raise LabelStoreError(
                f"Answers cannot be written to {self.path}: {self._trouble}. Make it a folder that "
                "can be written, and start again."
            )
        for path, known in self._known.items():
            try:
                found = _identity(path)
            except OSError:
                found = None
            if found != known:
                raise LabelStoreError(
                    f"{path} is gone or another one: the run was moved, removed or unmounted. The "
                    "answer is not written. Put the run back where it was, or start alseg annotate "
                    "again where it is now."
                )

    def _open(self) -> None:
        with suppress(FileExistsError):
            self.path.mkdir()
            sync_folder(self.path.parent)
        if not stat.S_ISDIR(self.path.lstat().st_mode):
            raise OSError("it is a link or a file")
        if os.name == "posix":
            # Held open, as the system gives the number of a removed folder to the next new one.
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags)
            weakref.finalize(self, os.close, self._descriptor)
        self._known[self.path] = _identity(self.path)
        if (lock := self.path / LOCK).exists():
            self._known[lock] = _identity(lock)


def _wait_for(file: FileIO) -> None:
    """Wait until no other process writes to a file; closing it lets the next one write."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        except OSError as error:
            if error.errno != ENOSYS:
                raise


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino

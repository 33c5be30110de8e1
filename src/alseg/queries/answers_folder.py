"""The folder of a round's answers, written to only while it is the one that it was."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition

from alseg.errors import LabelStoreError
from alseg.storage.durable import sync_folder
from alseg.storage.folder_lock import LOCK

STOPPED = "alseg annotate was stopped. Start it again; pages that are open continue then."


class Stopped(LabelStoreError):
    """An answer to a server that was asked to stop."""


class AnswersFolder:
    """Lets answers into ``answers`` of a round until that is closed, moved or replaced.

    The folder is made here and never by a write, which would make it again under the old name of a
    run that was moved or unmounted meanwhile.

    Attributes:
        path: The folder.
    """

    def __init__(self, round_folder: Path) -> None:
        """Open the folder below that of its round, and make it if need be."""
        self.path = round_folder / "answers"
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


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino

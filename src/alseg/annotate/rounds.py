"""Which round of a run is open for answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from alseg.errors import FolderInUse, LabelStoreError
from alseg.labels.committed import round_name
from alseg.queries.asked import AskedRound
from alseg.queries.asked_files import FOLDER, asked_rounds, open_round
from alseg.storage.folder_lock import LOCK, lock_folder
from alseg.storage.links import refuse_links_out


def open_newest(run: Path) -> AskedRound:
    """Return the newest round of a run that people are asked.

    Raises:
        FolderLeadsOut: A link in the folder leads out of it.
        LabelStoreError: The run asks nobody, or the round is damaged.
    """
    refuse_links_out(run)
    numbers = asked_rounds(run)
    if not numbers:
        raise LabelStoreError(
            f"{run} has no queries for people: there is no {run / FOLDER / round_name(1)}. Name "
            "the folder of a run that waits for answers."
        )
    return open_round(run, numbers[-1])


def is_closed(run: Path, number: int) -> bool:
    """Whether the labels of a round are written, so that no answer changes them any more."""
    return (run / "labels" / round_name(number)).exists()


@contextmanager
def lock_answers(asked: AskedRound) -> Iterator[None]:
    """Keep others from writing answers to a round inside the block: a second server, an import.

    A server holds it as long as it runs, since it does not read again what it once read.

    Raises:
        FolderInUse: Somebody else holds it, or the folder cannot be written.
    """
    folder = asked.folder / "answers"
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

"""The label store that belongs to one run: where it is, and that no other run wrote it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import BaseFileLock

from alseg.active.identity import check_same_run, check_same_start
from alseg.data.base import Pool
from alseg.data.names import check_apart
from alseg.distributed import ranks
from alseg.labels import LabelStore, PoolImage
from alseg.storage.folder_lock import lock_folder

IN_CHECKPOINT = "alseg_label_store"
"""Where a checkpoint says which label store the run has."""


class OwnStore:
    """Finds, checks, locks and opens the label store of a run.

    Attributes:
        named: The folder that was named for it; None leaves it to the run.
        start: The digest of the weights that the run started from; None as long as nothing trains.
        is_checked: Whether ``check`` has looked at a store that is there since it was opened last.
    """

    def __init__(self, named: Path | None) -> None:
        self.named = named
        self.start: str | None = None
        self._folder = named
        self.is_checked = False
        self._lock: BaseFileLock | None = None

    @property
    def folder(self) -> Path | None:
        """Where the store is; None as long as that is not known."""
        return self._folder

    def settle(self, usual: Path) -> None:
        """Say where the store is of a run that named none."""
        self._folder = self._folder or usual

    def forget(self) -> None:
        """Take the next training for a new run, unless a checkpoint says otherwise."""
        self._folder, self.start = self.named, None

    def write_into(self, checkpoint: dict[str, Any]) -> None:
        """Write down where the store is, and which weights the run started from."""
        if self.start is not None:
            checkpoint[IN_CHECKPOINT] = {"store": str(self._folder), "start": self.start}

    def read_from(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue with the store of the run that a checkpoint is of, unless another is named."""
        if IN_CHECKPOINT in checkpoint:
            known = checkpoint[IN_CHECKPOINT]
            self._folder, self.start = self.named or Path(known["store"]), known["start"]

    def check(
        self,
        images: Sequence[PoolImage],
        classes: Sequence[str],
        settings: Callable[[int], Mapping[str, Any]],
    ) -> int:
        """Check that the store, if there is one, is sound and this run's; writes nothing.

        Args:
            images: The pool.
            classes: The names of the classes.
            settings: Returns what this run would write down about a round.

        Returns:
            How many rounds it holds.

        Raises:
            LabelStoreError: It has another pool or other classes, was asked for with other
                settings, or a file in it is damaged.
        """
        if self._folder is None or not LabelStore.exists(self._folder):
            return 0
        store = LabelStore.open(self._folder)
        store.check_pool(images, classes)
        check_same_run(store, settings)
        store.check_files()
        self.is_checked = True
        return store.rounds

    def open(
        self,
        weights: Callable[[], str],
        pool: Pool,
        images: Sequence[PoolImage],
        classes: Sequence[str],
        check_start: bool,
    ) -> LabelStore:
        """Lock and open the store, which is made if need be; every rank calls it.

        To be called inside ``ranks.together``, after ``settle`` and, on the first rank, ``check``.

        Args:
            weights: Returns the digest of the weights that a new run starts from.
            pool: The data set that labels are asked of.
            images: The pool.
            classes: The names of the classes.
            check_start: Whether the rounds in it have to be of a run that started from the same
                weights.

        Raises:
            FolderInUse: Another process has the store.
            LabelStoreError: It is not this run's, or cannot be written.
        """
        folder = self._folder
        assert folder is not None
        resumed = self.start is not None
        self.start = self.start or weights()
        if ranks.is_first():
            if not LabelStore.exists(folder):
                check_apart(folder, pool)
            if check_start:
                check_same_start(folder, self.start, resumed)
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(folder)
            if not LabelStore.exists(folder):
                LabelStore.create(folder, images, classes)
        self.is_checked = False
        ranks.gather("the store is there")
        store = LabelStore.open(folder)
        if store.rounds:
            self.start = store.settings(1)["start"]
        store.attempt = ranks.gather(secrets.token_hex(4))[0]
        return store

    def release(self) -> None:
        """Let other processes write to the store."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

"""The label store: what was asked, in which round, and what was answered.

A run's folder holds ``pool.json`` and one folder per committed round::

    round-001/manifest.json      settings, counts and digests
    round-001/images.zip         the files of the round's images
        labels/ID.png            classes; 255 = not asked for, or void
        rounds/ID.png            the round in which each pixel was asked for; 0 = not asked for
        queries/ID.csv           the regions asked for in this round, best first

The PNGs of a round hold all answers up to that round, for the images that got regions in it; so
the newest round that holds an image is its current state, and no file is ever written twice. A
round is written to a staging folder that no reader looks at and becomes visible by one rename.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.config.run_files import round_name, round_numbers
from alseg.data.label_space import IGNORE
from alseg.errors import LabelStoreError
from alseg.labels.committed import (
    CommittedRound,
    restore_or_ask_again,
)
from alseg.labels.files import replace_in_store
from alseg.labels.queries import Queries
from alseg.labels.records import ImageRecord, PoolImage, check_pool
from alseg.labels.region_shape import RegionShape
from alseg.labels.staged import OTHER_RUN, StagedRound
from alseg.storage.sealed_json import encode_json, load_json
from alseg.storage.shared_storage import appears

POOL = "pool.json"
POOL_FORMAT = 1
STAGING = ".staging-"
MAX_ROUNDS = 255


class LabelStore:
    """Reads and writes a label store; every method may be called from any process.

    A store sees rounds that other processes commit while it is open. Pickling one keeps its
    folder only, so it travels to data-loading workers at no cost.

    Attributes:
        folder: Where it lies.
        images: The pool, in its order.
        classes: Names of the classes, in the order of their numbers.
        attempt: Part of the name of a round in progress, the same on all processes of a run and
            another on every start: the processes of a killed run may write for some seconds more.
    """

    def __init__(self, folder: Path, images: Sequence[PoolImage], classes: Sequence[str]) -> None:
        """Use ``LabelStore.create`` or ``LabelStore.open`` instead."""
        self.folder = folder.absolute()
        self.images = tuple(images)
        self.classes = tuple(classes)
        self.attempt = ""
        self._index = {image.id: index for index, image in enumerate(self.images)}
        self._committed: dict[int, CommittedRound] = {}
        if len(self._index) != len(self.images):
            raise LabelStoreError("Two images of the pool have the same name; rename one of them.")

    def __reduce__(self) -> tuple[Any, ...]:
        return LabelStore.open, (self.folder,)

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Return whether a folder holds a label store, or what is left of one."""
        return (Path(folder) / POOL).is_file() or bool(round_numbers(Path(folder)))

    @classmethod
    def create(
        cls, folder: str | Path, images: Sequence[PoolImage], classes: Sequence[str]
    ) -> LabelStore:
        """Start an empty store; its folder is made if need be.

        Raises:
            LabelStoreError: The folder holds a store already, or names are unusable.
        """
        store = cls(Path(folder), images, classes)
        path = store.folder / POOL
        _check_list(store.folder)
        if path.exists():
            raise LabelStoreError(
                f"{store.folder} holds a label store already. "
                "Resume that run, or start this one in another folder."
            )
        content = {
            "format": POOL_FORMAT,
            "classes": list(store.classes),
            "images": [asdict(image) for image in store.images],
        }
        replace_in_store(path, encode_json(content))
        return store

    @classmethod
    def open(cls, folder: str | Path) -> LabelStore:
        """Open a store that was created before.

        Raises:
            LabelStoreError: There is none, it is damaged, or of another version.
        """
        path = Path(folder) / POOL
        _check_list(path.parent)
        if not path.is_file():
            raise LabelStoreError(
                f"There is no label store in {folder}: {path} is missing. Check the run's folder."
            )
        remedy = "Restore it from a copy, or start a new run in another folder."
        content = load_json(path, remedy, POOL_FORMAT)
        try:
            images = [PoolImage(**image) for image in content["images"]]
            return cls(path.parent, images, content["classes"])
        except (KeyError, TypeError) as error:
            raise LabelStoreError(
                f"{path} is not the list of a pool ({error!r}). Restore it from a copy."
            ) from error

    def check_pool(self, images: Sequence[PoolImage], classes: Sequence[str]) -> None:
        """Check that a run's pool and classes are those that the store was created for.

        Raises:
            LabelStoreError: They differ; the message names the first difference.
        """
        remedy = f"Resume with the same data as before, or start a new run ({self.folder / POOL})."
        if tuple(classes) != self.classes:
            raise LabelStoreError(
                f"The label store has the classes {', '.join(self.classes)}; "
                f"this run has {', '.join(classes)}. {remedy}"
            )
        check_pool(self.images, images, remedy)

    @property
    def rounds(self) -> int:
        """Number of committed rounds, looked up anew each time.

        Raises:
            LabelStoreError: A round is missing although a later one is there.
        """
        numbers = round_numbers(self.folder)
        for expected, number in enumerate(numbers, start=1):
            if number != expected:
                raise LabelStoreError(
                    f"{self._round_folder(expected)} is missing although "
                    f"{self._round_folder(number).name} is there. "
                    f"{restore_or_ask_again(self._round_folder(number))}"
                )
        return len(numbers)

    @property
    def unfinished(self) -> list[Path]:
        """Folders of rounds that are being written, or that a process left unfinished."""
        return sorted(self.folder.glob(f"{STAGING}*"))

    def check_files(self) -> None:
        """Check that every file of every committed round is there and as it was written.

        Bytes are compared with their digests, and nothing is decoded.

        Raises:
            LabelStoreError: A file or a round is missing or damaged; the message names the first.
        """
        for number in range(1, self.rounds + 1):
            self._round(number).check_files()

    def settings(self, round_number: int) -> dict[str, Any]:
        """Return what ``commit`` was told about a round."""
        return self._round(round_number).settings

    def region(self, round_number: int) -> RegionShape:
        """Return the shape of what a round asked about."""
        return self._round(round_number).region

    def records(self, round_number: int) -> list[ImageRecord]:
        """Return what each image with new regions got in a round, in pool order."""
        return list(self._round(round_number).records.values())

    def label(self, image_id: str, up_to_round: int | None = None) -> NDArray[np.uint8]:
        """Return the H×W labels known after a round; 255 is void or not asked for.

        Args:
            image_id: Name of the image.
            up_to_round: The round; None takes the newest, 0 is before the first.

        Raises:
            LabelStoreError: The label on disk is damaged.
        """
        return self._map("labels", image_id, up_to_round, IGNORE)

    def round_map(self, image_id: str, up_to_round: int | None = None) -> NDArray[np.uint8]:
        """Return the H×W round in which each pixel was asked for; 0 is not asked for."""
        return self._map("rounds", image_id, up_to_round, 0)

    def asked(self, image_id: str, up_to_round: int | None = None) -> NDArray[np.bool_]:
        """Return the H×W pixels asked for, void ones among them."""
        return self.round_map(image_id, up_to_round) > 0

    def queries(self, image_id: str, round_number: int) -> Queries | None:
        """Return the regions asked for in one image in one round; None if there are none."""
        committed = self._round(round_number)
        return committed.queries(image_id) if image_id in committed.records else None

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each image, in pool order."""
        return np.array([image.area for image in self.images], dtype=np.int64)

    def spent(self, unit: str, up_to_round: int | None = None) -> NDArray[np.int64]:
        """Return what each image has been asked for, in pool order.

        Args:
            unit: ``pixels``, ``regions``, ``clicks`` or ``void`` (pixels that turned out void).
            up_to_round: The last round that counts; None takes all.
        """
        field = "asked" if unit == "pixels" else unit
        total = np.zeros(len(self.images), dtype=np.int64)
        for number in range(1, self._resolve(up_to_round) + 1):
            for record in self.records(number):
                if record.id not in self._index:
                    raise LabelStoreError(
                        f"Round {number} of {self.folder} lists the image {record.id}, which the "
                        f"pool does not have. {restore_or_ask_again(self._round(number).folder)}"
                    )
                total[self._index[record.id]] += getattr(record, field)
        return total

    @property
    def asked_pixels(self) -> int:
        """Pixels asked for so far, void ones among them."""
        return int(self.spent("pixels").sum())

    @property
    def void_pixels(self) -> int:
        """Pixels asked for so far that turned out void."""
        return int(self.spent("void").sum())

    @property
    def regions(self) -> int:
        """Regions asked for so far."""
        return int(self.spent("regions").sum())

    @property
    def labelled_fraction(self) -> float:
        """Share of the pool's pixels that has been asked for."""
        return self.asked_pixels / max(int(self.areas.sum()), 1)

    def stage(self, round_number: int) -> None:
        """Make room for a round; called by one process before any ``write``.

        What an earlier process left unfinished is thrown away.

        Raises:
            LabelStoreError: It is not this round's turn, or the folder cannot be written.
        """
        self._check_turn(round_number)
        self.tidy()
        try:
            self._staged(round_number).folder.mkdir()
        except OSError as error:
            raise LabelStoreError(
                f"Cannot prepare round {round_number} in {self.folder}: {error.strerror or error}. "
                "Committed rounds are untouched; allow writing there, then go on with "
                "`alseg fit --resume RUN`."
            ) from error

    def tidy(self) -> None:
        """Throw away what an earlier process left unfinished; no other may be writing.

        Raises:
            LabelStoreError: It cannot be removed.
        """
        for leftover in self.unfinished:
            try:
                shutil.rmtree(leftover)
            except OSError as error:
                raise LabelStoreError(
                    f"Cannot remove the unfinished round {leftover}: {error.strerror or error}. "
                    "Committed rounds are untouched; allow writing there, then go on with "
                    "`alseg fit --resume RUN`."
                ) from error

    def write(
        self,
        round_number: int,
        image_id: str,
        queries: Queries,
        label: NDArray[np.uint8],
        round_map: NDArray[np.uint8],
        clicks: int | None = None,
    ) -> ImageRecord:
        """Write one image of the staged round; called by the process that asked about it.

        Args:
            round_number: The staged round.
            image_id: Name of the image.
            queries: The regions of this round.
            label: All labels known, H×W, of this and earlier rounds; 255 is void or not asked for.
            round_map: The round in which each pixel was asked for, H×W; 0 is not asked for.
            clicks: Answers that the regions took; None is one a region.

        Raises:
            LabelStoreError: The maps do not fit the image, or cannot be written.
        """
        shape = self._shape(image_id)
        staged = self._staged(round_number)
        clicks = len(queries) if clicks is None else clicks
        return staged.write(image_id, shape, len(self.classes), queries, label, round_map, clicks)

    def commit(
        self, round_number: int, settings: Mapping[str, Any], records: Sequence[ImageRecord]
    ) -> None:
        """Make the staged round visible at once; called by one process after all have written.

        Args:
            round_number: The staged round.
            settings: What a person wants to know about the round, as JSON values: the strategy
                and its options, the seed, the budget.
            records: What ``write`` returned, of all processes.

        Raises:
            LabelStoreError: A file is missing or not accounted for, or the round cannot be
                committed; committed rounds are as before, and the round has to be staged again.
        """
        self._check_turn(round_number)
        ordered = sorted(records, key=lambda record: self._index[record.id])
        staged = self._staged(round_number)
        staged.commit(self._round_folder(round_number), dict(settings), ordered)

    def wait_for(self, round_number: int, seconds: float = 120.0) -> None:
        """Wait until this process sees a round that another has committed.

        Raises:
            LabelStoreError: It does not see it after so many seconds.
        """
        if not appears(lambda: self.rounds >= round_number, seconds):
            raise LabelStoreError(
                f"{self._round_folder(round_number)} was committed by another process, but is not "
                f"there for this one after {seconds:g} s. Put the run on storage that all hosts "
                "share, and resume."
            )

    def _check_turn(self, round_number: int) -> None:
        turn = self.rounds + 1
        if round_number != turn or round_number > MAX_ROUNDS:
            raise LabelStoreError(
                f"Round {round_number} cannot be stored in {self.folder}: the next is {turn} and "
                f"the last possible {MAX_ROUNDS}. {OTHER_RUN}"
            )

    def _resolve(self, up_to_round: int | None) -> int:
        return self.rounds if up_to_round is None else up_to_round

    def _shape(self, image_id: str) -> tuple[int, int]:
        if image_id not in self._index:
            raise LabelStoreError(f"The label store in {self.folder} has no image {image_id!r}.")
        image = self.images[self._index[image_id]]
        return image.height, image.width

    def _round_folder(self, number: int) -> Path:
        return self.folder / round_name(number)

    def _staged(self, number: int) -> StagedRound:
        name = f"{STAGING}{number:03d}{self.attempt and '-'}{self.attempt}"
        return StagedRound(self.folder / name, number)

    def _round(self, number: int) -> CommittedRound:
        # Kept, because a committed round never changes and its manifest lists every image.
        if number not in self._committed:
            self._committed[number] = CommittedRound(self._round_folder(number))
        return self._committed[number]

    def _map(
        self, kind: str, image_id: str, up_to_round: int | None, fill: int
    ) -> NDArray[np.uint8]:
        shape = self._shape(image_id)
        for number in range(self._resolve(up_to_round), 0, -1):
            if image_id in self._round(number).records:
                return self._round(number).map(kind, image_id, shape)
        return np.full(shape, fill, dtype=np.uint8)


def _check_list(folder: Path) -> None:
    """Check that a store with rounds has its list of images, which nothing else tells again."""
    rounds = round_numbers(folder)
    if rounds and not (folder / POOL).exists():
        raise LabelStoreError(
            f"{folder / POOL} is missing although {round_name(rounds[0])} is there: without the "
            "list of its images a store cannot be used. Restore it from a copy; if there is none, "
            "start a new run in another folder."
        )

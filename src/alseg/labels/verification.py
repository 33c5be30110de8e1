"""Whether a label store holds what it says: every file, every count, every round after another.

A digest tells that a file is not the one that was written. What follows from the files themselves,
such as that no pixel was asked for twice, is checked apart from it, so that a file that was changed
together with its digest, or written by a faulty program, is noticed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alseg.config.run_files import ROUND, round_name, round_numbers
from alseg.data.label_space import IGNORE
from alseg.errors import LabelStoreError
from alseg.labels.committed import (
    CHANGED,
    MANIFEST,
    SUFFIXES,
    CommittedRound,
    NoManifest,
    file_of,
)
from alseg.labels.files import decode_png
from alseg.labels.queries import Queries
from alseg.labels.records import ImageRecord, PoolImage
from alseg.labels.staged import wrong_class
from alseg.labels.store import LabelStore
from alseg.storage.regular_files import digest_of_file

COUNTS = ("regions", "asked", "void")


@dataclass
class Verification:
    """What a check of a label store found.

    Attributes:
        folder: The store.
        rounds: Rounds that were checked.
        images: Images whose files were checked, each counted once.
        regions: Regions in their queries.
        pixels: Pixels asked for in their round maps.
        problems: One sentence each, which begins with the file that is wrong.
        damaged: The rounds with a file that is missing or wrong.
        unfinished: Folders of rounds that are not committed, which are not checked.
    """

    folder: Path
    rounds: int = 0
    images: int = 0
    regions: int = 0
    pixels: int = 0
    problems: list[str] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)
    unfinished: list[Path] = field(default_factory=list)

    @property
    def damaged_from(self) -> int | None:
        """The first round with a file that is missing or wrong; None if there is none."""
        return min(self.damaged, default=None)

    def add(self, number: int, path: Path, what: str) -> None:
        """Take up what is wrong with a file of a round."""
        self.problems.append(f"{path}: {what}")
        self.damaged.add(number)


@dataclass(frozen=True)
class _State:
    """What is known of an image after a round.

    Attributes:
        label: Classes, H×W.
        rounds: The round in which each pixel was asked for, H×W.
        path: The round's archive.
    """

    label: NDArray[np.uint8]
    rounds: NDArray[np.uint8]
    path: Path


def verify(folder: str | Path, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Check every committed round of a label store, file by file and image by image.

    Where a file cannot be read, what depends on it is left unchecked. Memory is bounded by the
    maps of one image, besides the manifests.

    Args:
        folder: The folder of the store.
        progress: Called with the number of images done and of all images.

    Raises:
        LabelStoreError: There is no store, or its list of images cannot be read.
    """
    store = LabelStore.open(folder)
    found = Verification(store.folder, unfinished=store.unfinished)
    numbers = round_numbers(store.folder)
    rounds = [
        _open_round(store, number, number in numbers, found)
        for number in range(1, max(numbers, default=0) + 1)
    ]
    found.rounds = sum(committed is not None for committed in rounds)
    known = {round_name(number) for number in numbers}
    for path in sorted(store.folder.glob(f"{ROUND}*")):
        if path.name not in known:
            found.problems.append(f"{path}: is no round; take it out of the store")
    for done, image in enumerate(store.images, start=1):
        _check_image(image, rounds, len(store.classes), found)
        if progress is not None:
            progress(done, len(store.images))
    for number, committed in enumerate(rounds, start=1):
        if committed is not None and number not in found.damaged:
            _check_archive(committed, number, found)
    return found


def _check_archive(committed: CommittedRound, number: int, found: Verification) -> None:
    """Check what no file in the archive shows: its directory, and what is between the files."""
    path = committed.archive.path
    try:
        same = digest_of_file(path) == committed.manifest["archive"]
    except ValueError as error:
        found.add(number, path, str(error))
    else:
        if not same:
            found.add(number, path, CHANGED)


def _open_round(
    store: LabelStore, number: int, there: bool, found: Verification
) -> CommittedRound | None:
    """Check the manifest of a round against itself and the names of its files against it."""
    committed = CommittedRound(store.folder / round_name(number))
    path = committed.folder / MANIFEST
    if not there:
        found.add(number, committed.folder, "is missing although later rounds are there")
        return None
    try:
        records = list(committed.records.values())
        _ = committed.region
        _check_manifest(committed, number, store, found)
    except NoManifest as error:
        found.add(number, path, f"{error.reason} ({error.__cause__!r})")
        return None
    except LabelStoreError as error:
        # Its message says what to do, which is not the same for a newer version and for damage.
        found.problems.append(str(error))
        return None
    except (AttributeError, KeyError, TypeError) as error:
        found.add(number, path, f"is not the manifest of a round ({error!r})")
        return None
    for file in sorted(committed.folder.rglob("*")):
        if not file.is_dir() and file not in (path, committed.archive.path):
            found.problems.append(f"{file}: is no file of a round; take it out of the store")
    try:
        members = committed.archive.members
    except ValueError as error:
        found.add(number, committed.archive.path, str(error))
        return None
    expected = {file_of(kind, record.id) for record in records for kind in SUFFIXES}
    for name in sorted(members.keys() - expected):
        found.add(number, committed.archive.path / name, "is not in the manifest")
    return committed


def _check_manifest(
    committed: CommittedRound, number: int, store: LabelStore, found: Verification
) -> None:
    path, manifest = committed.folder / MANIFEST, committed.manifest
    records = list(committed.records.values())
    if manifest["round"] != number:
        found.add(number, path, f"is that of round {manifest['round']}")
    if len(manifest["images"]) != len(records):
        found.add(number, path, "lists an image twice")
    totals = {name: sum(getattr(record, name) for record in records) for name in COUNTS}
    for name in COUNTS:
        if manifest["totals"][name] != totals[name]:
            found.add(
                number,
                path,
                f"the total of {name} is {manifest['totals'][name]}; its images add up to "
                f"{totals[name]}",
            )
    if not isinstance(manifest["archive"], str):
        raise TypeError("archive")
    known = {image.id for image in store.images}
    for record in records:
        if record.id not in known:
            found.add(number, path, f"lists the image {record.id}, which the pool does not have")
        if record.digests.keys() != SUFFIXES.keys():
            raise KeyError(f"digests of {record.id}")


def _check_image(
    image: PoolImage, rounds: Sequence[CommittedRound | None], classes: int, found: Verification
) -> None:
    """Check an image through all rounds, each against the one before."""
    shape = image.height, image.width
    before: _State | None = _State(
        np.full(shape, IGNORE, dtype=np.uint8), np.zeros(shape, dtype=np.uint8), found.folder
    )
    anchors: set[tuple[int, int]] = set()
    checked = False
    for number, committed in enumerate(rounds, start=1):
        if committed is None:
            before = None
        elif image.id in committed.records:
            record = committed.records[image.id]
            files = _read(committed, number, image, found)
            if files is None:
                before = None
                continue
            state, queries = files
            checked = True
            found.regions += len(queries)
            found.pixels += int((state.rounds == number).sum())
            complaints = [
                *_of_maps(state, number, classes),
                *_of_queries(state, number, image, queries, anchors),
                *_of_counts(state, number, record, queries),
                *(_of_rounds(state, number, before, image.id) if before else ()),
            ]
            for kind, what in complaints:
                of_image = kind in SUFFIXES
                path = (
                    committed.path_of(kind, image.id) if of_image else committed.folder / MANIFEST
                )
                found.add(number, path, what)
            anchors |= _anchors(queries)
            before = state
    found.images += checked


def _read(
    committed: CommittedRound, number: int, image: PoolImage, found: Verification
) -> tuple[_State, Queries] | None:
    """Return the files of an image in a round; None if one of them cannot be used."""
    shape = image.height, image.width
    maps, queries = {}, None
    for kind in SUFFIXES:
        try:
            data = committed.read(kind, image.id)
            if kind == "queries":
                queries = Queries.from_csv(data, committed.region)
            else:
                maps[kind] = decode_png(data, shape)
        except (OverflowError, ValueError) as error:
            found.add(number, committed.path_of(kind, image.id), str(error))
    if queries is None or len(maps) < 2:
        return None
    return _State(maps["labels"], maps["rounds"], committed.archive.path), queries


def _of_maps(state: _State, number: int, classes: int) -> Iterator[tuple[str, str]]:
    wrong = wrong_class(state.label, classes)
    if wrong:
        yield "labels", f"has {wrong}"
    if state.rounds.max() > number:
        yield "rounds", f"has pixels of round {state.rounds.max()}, which is later than this one"
    unasked = int(((state.rounds == 0) & (state.label != IGNORE)).sum())
    if unasked:
        yield "labels", f"{unasked:,} pixels have a class, but nobody asked for them"


def _of_queries(
    state: _State, number: int, image: PoolImage, queries: Queries, earlier: set[tuple[int, int]]
) -> Iterator[tuple[str, str]]:
    if not _inside(queries, image):
        yield "queries", f"a region lies outside the image, which is {image.height}x{image.width}"
        return
    anchors = _anchors(queries)
    repeated = len(queries) - len(anchors) + len(anchors & earlier)
    if repeated:
        yield "queries", f"{repeated:,} regions are asked for that were asked for before"
    owner = queries.region.owners(state.rounds.shape, queries.rows, queries.columns)
    new = state.rounds == number
    outside = int((new & (owner < 0)).sum())
    if outside:
        yield "rounds", f"{outside:,} pixels of round {number} lie in no region of its queries"
    left_out = int(((state.rounds == 0) & (owner >= 0)).sum())
    if left_out:
        yield "rounds", f"{left_out:,} pixels of the regions are not asked for"
    held = {"asked": new & (owner >= 0)}
    held["void"] = held["asked"] & (state.label == IGNORE)
    for name, pixels in held.items():
        counts = np.bincount(owner[pixels], minlength=len(queries))
        wrong = np.flatnonzero(counts != getattr(queries, name))
        if len(wrong):
            first = int(wrong[0])
            yield (
                "queries",
                f"line {first + 2} says {getattr(queries, name)[first]} pixels {name}, the maps "
                f"have {counts[first]}; {len(wrong):,} lines are wrong",
            )


def _of_counts(
    state: _State, number: int, record: ImageRecord, queries: Queries
) -> Iterator[tuple[str, str]]:
    new = state.rounds == number
    void = new & (state.label == IGNORE)
    for name, count in zip(COUNTS, (len(queries), int(new.sum()), int(void.sum())), strict=True):
        if getattr(record, name) != count:
            yield (
                "manifest",
                f"{name} of {record.id} is {getattr(record, name)}; its files have {count}",
            )


def _of_rounds(
    state: _State, number: int, before: _State, image_id: str
) -> Iterator[tuple[str, str]]:
    known = before.rounds > 0
    again = int((known & (state.rounds == number)).sum())
    if again:
        yield "rounds", f"{again:,} pixels are asked for that an earlier round asked for"
    moved = int(((state.rounds != before.rounds) & (state.rounds != number)).sum())
    if moved:
        earlier = before.path / file_of("rounds", image_id)
        yield "rounds", f"{moved:,} pixels are of another round than in {earlier}"
    changed = int((known & (state.label != before.label)).sum())
    if changed:
        earlier = before.path / file_of("labels", image_id)
        yield "labels", f"{changed:,} pixels have another label than in {earlier}"


def _inside(queries: Queries, image: PoolImage) -> bool:
    if not len(queries):
        return True
    corners = min(queries.rows.min(), queries.columns.min())
    return bool(
        corners >= 0 and queries.rows.max() < image.height and queries.columns.max() < image.width
    )


def _anchors(queries: Queries) -> set[tuple[int, int]]:
    return set(zip(queries.rows.tolist(), queries.columns.tolist(), strict=True))

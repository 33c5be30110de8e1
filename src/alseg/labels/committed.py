"""A committed round on disk, which never changes again."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.config.run_files import LAST_CHECKPOINT, SUMMARY
from alseg.errors import LabelStoreError
from alseg.labels.archive import Archive
from alseg.labels.files import decode_png
from alseg.labels.queries import Queries
from alseg.labels.records import ImageRecord
from alseg.labels.region_shape import RegionShape, read_region
from alseg.storage.regular_files import digest, digest_of_file
from alseg.storage.sealed_json import load_json

FORMAT = 3
MANIFEST = "manifest.json"
ARCHIVE = "images.zip"
CHANGED = "its content is not what was written"
SUFFIXES = {"labels": ".png", "rounds": ".png", "queries": ".csv"}


def file_of(kind: str, image_id: str) -> str:
    """Return the name of a kind of file of an image in a round's archive."""
    return f"{kind}/{image_id}{SUFFIXES[kind]}"


def restore_or_ask_again(first: Path) -> str:
    """Return what to do about a damaged round, for an error message."""
    return (
        f"Restore it from a copy. If there is none, remove {first} and all later rounds, and the "
        f"run's {LAST_CHECKPOINT} and {SUMMARY}, and resume: training begins again and these "
        "rounds are asked for again."
    )


class NoManifest(LabelStoreError):
    """A manifest that is whole, and says what no manifest says."""

    reason = "is not the manifest of a round"


class CommittedRound:
    """Reads one round; each file is checked against the digest in the manifest.

    Attributes:
        folder: The folder of the round.
        archive: The files of its images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = Archive(folder / ARCHIVE)

    @property
    def settings(self) -> dict[str, Any]:
        """What the run wrote down about the round."""
        settings: dict[str, Any] = self.manifest["settings"]
        return settings

    @cached_property
    def records(self) -> dict[str, ImageRecord]:
        """What each image with new regions got, by name.

        Raises:
            LabelStoreError: The manifest is missing, damaged, or says what none says.
        """
        manifest = self.manifest
        try:
            records = [ImageRecord(**record) for record in manifest["images"]]
            return {record.id: record for record in records}
        except (KeyError, TypeError, LabelStoreError) as error:
            raise NoManifest(
                f"{self.folder / MANIFEST} {NoManifest.reason} ({error!r}). {self._remedy}"
            ) from error

    @cached_property
    def region(self) -> RegionShape:
        """The shape of the regions that were asked for.

        Raises:
            LabelStoreError: The manifest is missing, damaged, or names no such shape.
        """
        try:
            return read_region(self.settings.get("region"))
        except (AttributeError, ValueError) as error:
            raise NoManifest(
                f"{self.folder / MANIFEST} {NoManifest.reason} ({error}). {self._remedy}"
            ) from error

    def map(self, kind: str, image_id: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the map of an image, H×W; ``kind`` is ``labels`` or ``rounds``.

        Raises:
            LabelStoreError: The file is missing, damaged or of another size.
        """
        try:
            return decode_png(self.read(kind, image_id), shape)
        except ValueError as error:
            raise self._damaged(kind, image_id, error) from error

    def queries(self, image_id: str) -> Queries:
        """Return the regions that were asked for in an image.

        Raises:
            LabelStoreError: The file is missing or damaged.
        """
        try:
            return Queries.from_csv(self.read("queries", image_id), self.region)
        except ValueError as error:
            raise self._damaged("queries", image_id, error) from error

    def read(self, kind: str, image_id: str) -> bytes:
        """Return the content of a file of an image.

        Raises:
            ValueError: The file is missing or not what was written.
        """
        expected = self.records[image_id].digests.get(kind)
        if not isinstance(expected, str):
            raise ValueError(f"{MANIFEST} has no digest of it")
        data = self.archive.read(file_of(kind, image_id))
        if digest(data) != expected:
            raise ValueError(CHANGED)
        return data

    def path_of(self, kind: str, image_id: str) -> Path:
        """Return how a file of an image is named to a person: the archive, then the file in it."""
        return self.archive.path / file_of(kind, image_id)

    def check_files(self) -> None:
        """Check that the files of the images are as they were written.

        Raises:
            LabelStoreError: One is not; the message names the first.
        """
        try:
            if digest_of_file(self.archive.path) == self.manifest["archive"]:
                return
        except ValueError as error:
            raise self._unusable(self.archive.path, error) from error
        for image_id in self.records:
            for kind in SUFFIXES:
                try:
                    self.read(kind, image_id)
                except ValueError as error:
                    raise self._damaged(kind, image_id, error) from error
        raise self._unusable(self.archive.path, ValueError(CHANGED))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of the manifest.

        Raises:
            LabelStoreError: It is missing, damaged or of another version.
        """
        return load_json(self.folder / MANIFEST, self._remedy, FORMAT)

    @property
    def _remedy(self) -> str:
        return restore_or_ask_again(self.folder)

    def _damaged(self, kind: str, image_id: str, reason: ValueError) -> LabelStoreError:
        return self._unusable(self.path_of(kind, image_id), reason)

    def _unusable(self, path: Path, reason: ValueError) -> LabelStoreError:
        return LabelStoreError(f"{path} cannot be used: {reason}. {self._remedy}")

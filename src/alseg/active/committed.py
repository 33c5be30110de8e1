"""A committed round on disk, which never changes again."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.active.files import decode_json, decode_png, digest
from alseg.active.queries import Queries
from alseg.active.records import ImageRecord
from alseg.errors import LabelStoreError

FORMAT = 1
MANIFEST = "manifest.json"
SUFFIXES = {"labels": ".png", "rounds": ".png", "queries": ".csv"}


def file_of(kind: str, image_id: str) -> Path:
    """Return where in a round's folder a kind of file of an image lies."""
    return Path(kind, image_id + SUFFIXES[kind])


def load_json(path: Path, remedy: str) -> dict[str, Any]:
    """Return the content of a JSON file of a label store.

    Raises:
        LabelStoreError: It is damaged, or of a version that is not read here.
    """
    try:
        content = decode_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LabelStoreError(f"{path} cannot be used: {error}. {remedy}") from error
    if content.get("format") != FORMAT:
        raise LabelStoreError(
            f"{path} has format {content.get('format')!r}; this version of alseg reads format "
            f"{FORMAT}. Use the version of alseg that wrote it."
        )
    return content


class CommittedRound:
    """Reads one round; each file is checked against the digest in the manifest.

    Attributes:
        folder: The folder of the round.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings(self) -> dict[str, Any]:
        """What the run wrote down about the round."""
        settings: dict[str, Any] = self._manifest["settings"]
        return settings

    @cached_property
    def records(self) -> dict[str, ImageRecord]:
        """What each image with new regions got, by name."""
        records = [ImageRecord(**record) for record in self._manifest["images"]]
        return {record.id: record for record in records}

    def map(self, kind: str, image_id: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the map of an image, H×W; ``kind`` is ``labels`` or ``rounds``.

        Raises:
            LabelStoreError: The file is missing, damaged or of another size.
        """
        data = self._read(kind, image_id)
        try:
            values = decode_png(data)
            if values.shape != shape:
                raise ValueError(f"it is {values.shape}, the image {shape}")
        except (OSError, ValueError) as error:
            raise self._damaged(file_of(kind, image_id), error) from error
        return values

    def queries(self, image_id: str) -> Queries:
        """Return the regions that were asked for in an image.

        Raises:
            LabelStoreError: The file is missing or damaged.
        """
        data = self._read("queries", image_id)
        try:
            return Queries.from_csv(data)
        except ValueError as error:
            raise self._damaged(file_of("queries", image_id), error) from error

    def check_files(self) -> None:
        """Compare every file of the round with its digest.

        Raises:
            LabelStoreError: A file is missing or is not what was written.
        """
        for image_id in self.records:
            for kind in SUFFIXES:
                self._read(kind, image_id)

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return load_json(self.folder / MANIFEST, self._remedy)

    def _read(self, kind: str, image_id: str) -> bytes:
        path = file_of(kind, image_id)
        try:
            data = (self.folder / path).read_bytes()
        except OSError as error:
            raise self._damaged(path, error) from error
        if digest(data) != self.records[image_id].digests[kind]:
            raise self._damaged(path, "its content is not what was written")
        return data

    @property
    def _remedy(self) -> str:
        return (
            f"Restore it from a copy, or remove {self.folder} and all later rounds and resume: "
            "they are asked for again."
        )

    def _damaged(self, path: Path, reason: object) -> LabelStoreError:
        return LabelStoreError(f"{self.folder / path} cannot be used: {reason}. {self._remedy}")

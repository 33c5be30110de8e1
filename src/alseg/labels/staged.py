"""A round that is being written, which no reader looks at until it is committed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.data.label_space import IGNORE
from alseg.errors import LabelStoreError
from alseg.labels.archive import write_archive
from alseg.labels.committed import ARCHIVE, FORMAT, MANIFEST, SUFFIXES, file_of
from alseg.labels.files import (
    encode_png,
    write_durably,
    writing,
)
from alseg.labels.queries import Queries
from alseg.labels.records import ImageRecord
from alseg.storage.regular_files import digest, digest_of_file
from alseg.storage.sealed_json import encode_json
from alseg.storage.whole_folder import publish

OTHER_RUN = "Is another run using this folder? Stop it and resume."


def wrong_class(label: NDArray[np.uint8], classes: int) -> str:
    """Return what is wrong with the class numbers of a label, in words; nothing if all are fine."""
    highest = int(label.max(initial=0, where=label != IGNORE))
    if highest < classes:
        return ""
    return f"the class number {highest}; allowed are 0 to {classes - 1}, and {IGNORE} for void"


class StagedRound:
    """Writes the files of a round and makes them visible at once.

    It is no block of one process, as ``whole_folder`` is: all processes of a run write to it, one
    commits it, and what a killed run left is thrown away when the next one stages the round.

    Attributes:
        folder: The staging folder.
        number: The round.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number

    def write(
        self,
        image_id: str,
        shape: tuple[int, int],
        classes: int,
        queries: Queries,
        label: NDArray[np.uint8],
        round_map: NDArray[np.uint8],
        clicks: int,
    ) -> ImageRecord:
        """Write what is known about an image after this round.

        Raises:
            LabelStoreError: The maps are not of this shape, a class number is not below
                ``classes``, or a file cannot be written.
        """
        for name, values in (("label", label), ("round map", round_map)):
            if values.shape != shape or values.dtype != np.uint8:
                raise LabelStoreError(
                    f"The {name} of {image_id} is {values.dtype} {values.shape}; expected uint8 "
                    f"{shape}."
                )
        wrong = wrong_class(label, classes)
        if wrong:
            raise LabelStoreError(
                f"An answer for {image_id} has {wrong}. Check the annotator's labels."
            )
        self._check_folder()
        files = {
            "labels": encode_png(label),
            "rounds": encode_png(round_map),
            "queries": queries.to_csv(),
        }
        for kind, data in files.items():
            path = self.folder / file_of(kind, image_id)
            # Not waited for: the archive that the file gets into is.
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return ImageRecord(
            id=image_id,
            regions=len(queries),
            asked=int(queries.asked.sum()),
            void=int(queries.void.sum()),
            clicks=clicks,
            digests={kind: digest(data) for kind, data in files.items()},
        )

    def commit(
        self, target: Path, settings: dict[str, Any], records: Sequence[ImageRecord]
    ) -> None:
        """Pack the files, write the manifest and rename the folder to ``target``.

        Raises:
            LabelStoreError: The files are not those of the records, or renaming fails.
        """
        self._check_folder()
        expected = [file_of(kind, record.id) for record in records for kind in SUFFIXES]
        # Each file is asked for by its name: on shared storage a listing may lack what another host
        # has just written.
        missing = sorted(name for name in expected if not (self.folder / name).is_file())
        contents = (path for path in self.folder.rglob("*") if path.is_file())
        found = {path.relative_to(self.folder).as_posix() for path in contents}
        odd = missing or sorted(found.difference(expected))
        if odd:
            state = "missing" if missing else "not accounted for"
            raise LabelStoreError(
                f"Round {self.number} was not written as planned: {self.folder / odd[0]} is "
                f"{state}; {len(odd)} files are wrong in all. {OTHER_RUN}"
            )
        with writing(self.folder / ARCHIVE):
            write_archive(self.folder / ARCHIVE, self.folder, expected)
        manifest = {
            "format": FORMAT,
            "round": self.number,
            "settings": settings,
            "totals": {
                name: sum(getattr(record, name) for record in records)
                for name in ("regions", "asked", "void", "clicks")
            },
            "archive": digest_of_file(self.folder / ARCHIVE),
            "images": [asdict(record) for record in records],
        }
        write_durably(self.folder / MANIFEST, encode_json(manifest))
        try:
            for kind in SUFFIXES:
                if (self.folder / kind).exists():
                    shutil.rmtree(self.folder / kind)
            publish(self.folder, target)
        except OSError as error:
            raise LabelStoreError(
                f"Cannot commit round {self.number} as {target}: {error.strerror or error}. "
                "Earlier rounds are untouched; remove the cause, then go on with "
                "`alseg fit --resume RUN`."
            ) from error

    def _check_folder(self) -> None:
        if not self.folder.is_dir():
            raise LabelStoreError(f"Round {self.number} has no folder {self.folder}. {OTHER_RUN}")

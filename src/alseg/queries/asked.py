"""The queries of a round that people answer: regions of images, and the parts of mixed ones.

``alseg.queries.asked_files`` keeps them as files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.data.channels import image_size
from alseg.data.value_range import read_image
from alseg.errors import DatasetError, LabelStoreError
from alseg.labels.region_shape import Box, RegionShape
from alseg.storage.links import check_inside
from alseg.storage.regular_files import digest, read_regular

MANIFEST = "round.json"
"""The file in a round's folder that says what is asked."""

ANSWERS = "answers"
"""The folder in a round's folder of what people answered."""


@dataclass(frozen=True)
class Query:
    """One question: which class has this region?

    Attributes:
        id: Its name, unique in the run, such as ``r001-q000017``; a part of a region that was
            answered as mixed adds its number, such as ``r001-q000017.2``.
        image: Name of the image in the pool.
        row: Row of the centre, in pixels.
        column: Column of the centre, in pixels.
        top: First row of the region's outline.
        left: First column of the outline.
        bottom: The row after its last one.
        right: The column after its last one.
        score: Score of the centre when it was chosen; higher is asked first.
        guess: The class that the network gives the centre.
    """

    id: str
    image: str
    row: int
    column: int
    top: int
    left: int
    bottom: int
    right: int
    score: float
    guess: int

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a region that was answered as mixed."""
        return "." in self.id

    @property
    def box(self) -> Box:
        """The outline of the region or part."""
        return Box(self.top, self.left, self.bottom, self.right)


@dataclass(frozen=True)
class AskedImage:
    """An image with queries.

    Attributes:
        id: Its name in the pool.
        height: Height in pixels.
        width: Width in pixels.
        file: Where the image lies: absolute, or relative to the folder of the round.
        digest: SHA-256 of the file when it was asked about; empty where that is not known.
    """

    id: str
    height: int
    width: int
    file: str
    digest: str = ""


@dataclass(frozen=True)
class AskedRound:
    """The queries of a round.

    Attributes:
        folder: Where they lie.
        number: The round, from 1.
        classes: Names of the classes, in the order of their numbers.
        colors: One RGB colour per class.
        region: The shape of what is asked about.
        split: What becomes of a region that is answered as mixed: ``quadrants`` or ``pixels``
            (its parts are asked for once) or ``drop`` (it becomes void).
        images: The images with queries, by name, in pool order.
        queries: The queries in the order in which they are asked.
        settings: What the round was asked for with.
        identity: Sixteen hexadecimal digits that no round of another run has: they follow from
            all that is asked and from what chose it, but not from where the images are stored.
    """

    folder: Path
    number: int
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    region: RegionShape
    split: str
    images: Mapping[str, AskedImage]
    queries: tuple[Query, ...] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    identity: str = ""

    @property
    def answers(self) -> Path:
        """The folder of what people answered."""
        return self.folder / ANSWERS

    @cached_property
    def by_id(self) -> dict[str, Query]:
        """The queries by name, without the parts of mixed regions."""
        return {query.id: query for query in self.queries}

    @cached_property
    def by_image(self) -> dict[str, tuple[Query, ...]]:
        """The queries of every image, by its name, in the order in which they are asked."""
        found: dict[str, list[Query]] = {name: [] for name in self.images}
        for query in self.queries:
            found[query.image].append(query)
        return {name: tuple(queries) for name, queries in found.items()}

    def find(self, query_id: str) -> Query:
        """Return a query, or a part of one, by its name.

        Raises:
            KeyError: There is no such query.
        """
        whole, dot, _ = query_id.partition(".")
        if not dot:
            return self.by_id[whole]
        if whole not in self._parts_by_id:
            self._parts_by_id[whole] = {part.id: part for part in self.parts(self.by_id[whole])}
        return self._parts_by_id[whole][query_id]

    @cached_property
    def _parts_by_id(self) -> dict[str, dict[str, Query]]:
        """The parts of the regions in which one was looked for."""
        return {}

    def parts(self, query: Query) -> tuple[Query, ...]:
        """Return what is asked if the query is answered as mixed; nothing if that makes it void."""
        boxes = () if query.is_part else self.region.parts(query.box, self.split)
        return tuple(
            Query(f"{query.id}.{number}", query.image, *box.centre, *box, query.score, query.guess)
            for number, box in enumerate(boxes, start=1)
        )

    def pixels_of(self, image_id: str) -> NDArray[np.uint8]:
        """Return the RGB image, H×W×3.

        Raises:
            LabelStoreError: Its file is missing, cannot be read or is another one.
        """
        # One that is gone has the words of a data set that it is gone from.
        if self.path_of(image_id).exists():
            self.checked_bytes(image_id)
        try:
            return read_image(self.path_of(image_id))
        except DatasetError as error:
            raise _unreadable(error) from error

    def path_of(self, image_id: str) -> Path:
        """Return where an image is stored.

        Raises:
            LabelStoreError: Its place is given from the round's folder and outside of it.
        """
        path = self.folder / self.images[image_id].file
        if not Path(self.images[image_id].file).is_absolute():
            check_inside(self.folder, path)
        return path

    def checked_bytes(self, image_id: str) -> bytes:
        """Return the content of an image's file, which is that which is asked about.

        What a run folder from elsewhere names as an image may be any file: nothing of it is taken
        unless it has the digest that the round has, and the header of such an image.

        Raises:
            LabelStoreError: It is missing, is another one, or nobody knows whether it is.
        """
        entry, path = self.images[image_id], self.path_of(image_id)
        if not entry.digest:
            raise LabelStoreError(
                f"{self.folder / MANIFEST} has no digest of the image {image_id}: whether "
                f"{path} is the image that is asked about cannot be known. Ask for the round again."
            )
        try:
            data = read_regular(path)
        except FileNotFoundError as error:
            raise LabelStoreError(
                f"The image {path} that is asked about is missing. Put it back."
            ) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise LabelStoreError(
                f"The image {path} that is asked about cannot be read: {reason or error}."
            ) from error
        is_same = digest(data) == entry.digest
        try:
            size = image_size(path)
        except DatasetError as error:
            if is_same:
                raise _unreadable(error) from error
            size = entry.height, entry.width
        if size != (entry.height, entry.width):
            raise LabelStoreError(
                f"The image {path} is {size[0]}x{size[1]}; it was "
                f"{entry.height}x{entry.width} when its queries were made. Put that one back."
            )
        if not is_same:
            raise LabelStoreError(
                f"The image {path} has changed since its queries were made: answers about it would "
                "be about another picture. Put that one back."
            )
        return data

    def check_images(self, image_ids: Iterable[str]) -> None:
        """Check that images have not changed since they were asked about.

        An image that is not at hand is left unchecked, and so is one without a digest.

        Raises:
            LabelStoreError: One has changed; the message names it.
        """
        for image_id in image_ids:
            if self.images[image_id].digest and self.path_of(image_id).exists():
                self.checked_bytes(image_id)


def _unreadable(error: DatasetError) -> LabelStoreError:
    return LabelStoreError(f"An image that is asked about cannot be read: {error}")


def query_id(round_number: int, position: int) -> str:
    """Return the name of the query at a position, from 0, of a round."""
    return f"r{round_number:03d}-q{position + 1:06d}"

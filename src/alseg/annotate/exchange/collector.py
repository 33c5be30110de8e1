"""What a file answers, gathered box by box and mask by mask, and checked against the queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alseg.annotate.exchange.masks import NOTHING, answers_in_mask
from alseg.annotate.exchange.names import suffixes
from alseg.annotate.exchange.stamp import Stamp
from alseg.annotate.exchange.words import Words
from alseg.data.label_space import IGNORE
from alseg.errors import ExchangeError, did_you_mean
from alseg.queries.answers import Answer
from alseg.queries.asked import AskedImage, AskedRound, Query
from alseg.queries.masks import encode_mask

_ID = re.compile(r"r(\d{3,9})-q\d{6,9}(\.\d{1,9})?")

SNAP = 0.05
"""How far, in pixels, a number that a tool wrote may be from the edge of a window that it means."""


class Box(NamedTuple):
    """A box in pixels; the centre of the first pixel is at (0.5, 0.5)."""

    left: float
    top: float
    right: float
    bottom: float


class Collector:
    """The answers of one file.

    Attributes:
        asked: The round.
        words: The labels of its answers.
        answers: The answer to every query that the file answers, parts of mixed windows too.
        unanswered: Queries that are in the file with no answer.
        masks: The content of the masks among the answers, by answer.
        void: The share of the pixels that each of these leaves void, by answer.
        time: Up to when the answers go that the file was exported with, in milliseconds since
            1970; None where the file does not say.
    """

    def __init__(self, asked: AskedRound, words: Words) -> None:
        self.asked = asked
        self.words = words
        self.answers: dict[str, Answer] = {}
        self.unanswered: set[str] = set()
        self.masks: dict[str, bytes] = {}
        self.void: dict[str, float] = {}
        self.time: int | None = None
        self._origins: dict[str, str] = {}

    def note(self, stamp: object, where: str) -> None:
        """Take up which run a part of the file was exported from; anything but a stamp is nothing.

        Args:
            stamp: What is in the place of the stamp.
            where: What the part is called in an error.
        """
        found = Stamp.read(stamp) if isinstance(stamp, str) else None
        if found is not None:
            self._origins.setdefault(found.identity, where)
            self.time = found.time if self.time is None else min(self.time, found.time)

    def check_origin(self) -> None:
        """Check that all of the file was exported from this round.

        Raises:
            ExchangeError: A part of it was exported from another run.
        """
        for identity, where in self._origins.items():
            if identity != self.asked.identity:
                raise ExchangeError(
                    f"{where}: this was exported from another run, where the same names mean other "
                    "windows. Import it into that run, or answer a new export of "
                    f"{self.asked.folder.parent.parent}."
                )

    def add(self, name: str, label: str, where: str) -> None:
        """Take the label that was given to a query.

        Raises:
            ExchangeError: There is no such query or label, or the query has another answer already.
        """
        query = self.find(name, where)
        answer = self.words.answer(label, where)
        if answer is None:
            self.unanswered.add(query.id)
            return
        before = self.answers.setdefault(query.id, answer)
        if before != answer:
            raise ExchangeError(
                f"{where}: {query.id} has two answers, {self.words.word(before)} and "
                f"{self.words.word(answer)}. Keep one of them in the tool and export again."
            )

    def add_box(
        self, name: str, label: str, box: Box, image: AskedImage | None, where: str
    ) -> None:
        """Take the label of a box.

        Args:
            name: Name of its query; where it is empty, the box must be the window of a query.
            label: The label.
            box: The box.
            image: The image that it lies in; None if the file's name of it says nothing.
            where: What the box is called in an error.

        Raises:
            ExchangeError: As for ``add``; or the box is none, lies in another image than its query,
                no longer covers the centre of it, or has no name and is no window.
        """
        if (
            not all(isfinite(side) for side in box)
            or box.right <= box.left
            or box.bottom <= box.top
        ):
            raise ExchangeError(
                f"{where}: {_in_words(box)} is no box. Remove it in the tool and export again."
            )
        if name:
            query = self.find(name, where)
            if image is not None and image.id != query.image:
                raise ExchangeError(
                    f"{where}: it is named {query.id}, which lies in the image {query.image}, not "
                    f"in {image.id}. Load each image under its own name."
                )
            row, column = query.row + 0.5, query.column + 0.5
            if not (box.left <= column <= box.right and box.top <= row <= box.bottom):
                raise ExchangeError(
                    f"{where}: the box of {query.id}, {_in_words(box)}, no longer covers the "
                    f"centre of the query at {column:g}, {row:g}. Move it back in the tool, or "
                    "delete it to leave the query unanswered."
                )
        self.add(name or self._window(box, image, where), label, where)

    def add_mask(self, image: AskedImage, codes: NDArray[np.int16]) -> None:
        """Take what a mask holds in the windows that nothing else in the file answers.

        Args:
            image: The image.
            codes: What each pixel is, H×W: the number of a class, the number of classes for void,
                or -1 where nothing is said.
        """
        if self.asked.region.is_painted:
            self._add_painted(image, codes)
        else:
            self.unanswered |= answers_in_mask(self.asked, image.id, codes, self.answers)

    def _add_painted(self, image: AskedImage, codes: NDArray[np.int16]) -> None:
        """Take a mask as the answer to the queries of its image; what is left out is void."""
        is_class = (codes >= 0) & (codes < len(self.asked.classes))
        answer, data = encode_mask(np.where(is_class, codes, IGNORE).astype(np.uint8))
        for query in self.asked.by_image[image.id]:
            if (codes == NOTHING).all():
                self.unanswered.add(query.id)
            elif query.id not in self.answers:
                self.answers[query.id] = answer
                self.masks[answer] = data
                self.void[answer] = 1 - float(is_class.mean())

    def find(self, name: str, where: str) -> Query:
        """Return the query, or the part of one, of a name.

        Raises:
            ExchangeError: There is none.
        """
        with suppress(KeyError):
            return self.asked.find(name)
        number = _ID.fullmatch(name)
        if number and int(number[1]) != self.asked.number:
            raise ExchangeError(
                f"{where}: the query {name} is of round {int(number[1])}; answers are taken for "
                f"round {self.asked.number} alone. Export that one with `alseg export`."
            )
        raise ExchangeError(
            f"{where}: round {self.asked.number} has no query {name!r:.80}; its queries are "
            f"{self.asked.queries[0].id} to {self.asked.queries[-1].id}. Undo the change in the "
            "tool, or delete it there."
        )

    @staticmethod
    def is_name(text: str) -> bool:
        """Whether a text looks like the name of a query, of this round or another."""
        return _ID.fullmatch(text) is not None

    def image(self, name: str, size: tuple[float, float] | None, where: str) -> AskedImage | None:
        """Return the image that a file's name of an image means; None if it means none.

        Tools put folders before a name and keep or drop its suffix.

        Args:
            name: The name in the file.
            size: Height and width in the file, where it has them.
            where: What the image is called in an error.

        Raises:
            ExchangeError: The image has another size than the one that is asked about.
        """
        found = self._image(name, where)
        if found is not None and size is not None and size != (found.height, found.width):
            raise ExchangeError(
                f"{where}: {name:.200} is {size[1]:g}x{size[0]:g} pixels (width x height) in the "
                "file; "
                f"{found.id}, which is asked about, is {found.width}x{found.height}. Load the "
                "image as it was exported."
            )
        return found

    def known_image(self, name: str, where: str) -> AskedImage:
        """Return the image of a name.

        Raises:
            ExchangeError: Nothing is asked about such an image.
        """
        found = self._image(name, where)
        if found is None:
            raise ExchangeError(
                f"{where}: nothing is asked about an image called {name!r:.200}."
                f"{did_you_mean(name[:200], self.asked.images)} Use the names that were exported."
            )
        return found

    def _image(self, name: str, where: str) -> AskedImage | None:
        parts = name.replace("\\", "/").split("/")[-16:]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            found = self._named(tail, self._by_file, self.asked.images, where)
            if found is not None:
                return found
        return self._named(parts[-1], *self._by_last_name, where)

    @staticmethod
    def _named(
        name: str, files: Mapping[str, AskedImage], ids: Mapping[str, AskedImage], where: str
    ) -> AskedImage | None:
        """Return the image that a file name means: as exported, or with its suffix changed or gone.

        Raises:
            ExchangeError: With its suffix changed it would be one image, with its suffix gone
                another.
        """
        if name in files:
            return files[name]
        changed, gone = ids.get(name.rpartition(".")[0]), ids.get(name)
        if changed is not None and gone is not None:
            raise ExchangeError(
                f"{where}: {name!r:.200} may be {changed.id} or {gone.id}. Use the names of the "
                "files that were exported."
            )
        return changed or gone

    @cached_property
    def _by_file(self) -> dict[str, AskedImage]:
        """The images by the names of their files, as exported and as they are in the data."""
        images = self.asked.images.values()
        return {f"{image.id}{suffix}": image for image in images for suffix in suffixes(image)}

    @cached_property
    def _by_last_name(self) -> tuple[dict[str, AskedImage], dict[str, AskedImage]]:
        """The images by the last parts of their files' names, and of their own, that one has."""
        files = _unique((name.rpartition("/")[2], image) for name, image in self._by_file.items())
        ids = _unique((name.rpartition("/")[2], image) for name, image in self.asked.images.items())
        return files, ids

    @cached_property
    def _windows(self) -> dict[tuple[str, Sequence[int]], list[str]]:
        found: dict[tuple[str, Sequence[int]], list[str]] = {}
        for query in self.asked.queries:
            sides = (query.left, query.top, query.right, query.bottom)
            found.setdefault((query.image, sides), []).append(query.id)
        return found

    def _window(self, box: Box, image: AskedImage | None, where: str) -> str:
        sides = tuple(round(side) for side in box)
        exact = all(abs(side - near) <= SNAP for side, near in zip(box, sides, strict=True))
        names = self._windows.get((image.id, sides), []) if image is not None and exact else []
        if len(names) != 1:
            raise ExchangeError(
                f"{where}: the box {_in_words(box)} does not say which query it answers, and it is "
                "not the window of one. Change the label of the boxes that were exported instead "
                "of drawing new ones, and delete this one."
            )
        return names[0]


def _unique(named: Iterable[tuple[str, AskedImage]]) -> dict[str, AskedImage]:
    found: dict[str, dict[str, AskedImage]] = {}
    for name, image in named:
        found.setdefault(name, {})[image.id] = image
    return {name: next(iter(images.values())) for name, images in found.items() if len(images) == 1}


def _in_words(box: Box) -> str:
    return f"{box.left:g}, {box.top:g} to {box.right:g}, {box.bottom:g}"

"""The newest round of a run as the files of a labelling tool."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.annotate.exchange.formats import module_of
from alseg.annotate.exchange.names import file_name, is_shown
from alseg.annotate.exchange.stamp import Stamp
from alseg.annotate.exchange.words import Words
from alseg.annotate.rounds import open_newest
from alseg.config.answer_keys import MIXED
from alseg.data.images import read_header
from alseg.queries.answers import Answer, latest, newest
from alseg.queries.asked import AskedImage, AskedRound, Query
from alseg.queries.masks import is_mask, read_mask
from alseg.queries.settling import settle
from alseg.storage.whole_folder import export_folder

IMAGES = "images"

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What a TIFF begins with, whatever its name ends in."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: Where it lies.
        files: The files that the tool is given, relative to the folder.
        round_number: The round.
        images: Images with queries.
        windows: Windows that are asked about, and parts of mixed ones.
        answered: How many of these have an answer.
        converted: Images that went along as PNG of 8 bits, since a browser does not show their
            files.
        is_painted: Whether whole images are asked about, each of them one of ``windows``.
    """

    folder: Path
    files: tuple[str, ...]
    round_number: int
    images: int
    windows: int
    answered: int
    converted: int
    is_painted: bool


@dataclass(frozen=True)
class Outgoing:
    """What a tool is shown.

    Attributes:
        asked: The round.
        words: The labels to choose from.
        answers: The answers so far, by query; those to parts of mixed windows among them.
        stamp: Which run the queries are of, and up to when the answers go.
    """

    asked: AskedRound
    words: Words
    answers: Mapping[str, Answer]
    stamp: Stamp

    @property
    def is_painted(self) -> bool:
        """Whether the tool is to paint the images, instead of labelling boxes that are given."""
        return self.asked.region.is_painted

    def boxes(self, image_id: str) -> Iterator[tuple[Query, str]]:
        """Yield the windows that a tool draws as boxes: none where it is to paint."""
        return iter(()) if self.is_painted else self.windows(image_id)

    def masks(self, image_id: str) -> Iterator[NDArray[np.uint8]]:
        """Yield the masks that answer an image, H×W train ids; 255 is void.

        Raises:
            LabelStoreError: A mask cannot be read.
        """
        image = self.asked.images[image_id]
        for query in self.asked.by_image[image_id]:
            answer = self.answers.get(query.id)
            if isinstance(answer, str) and is_mask(answer):
                yield read_mask(self.asked, answer, (image.height, image.width))

    def windows(self, image_id: str) -> Iterator[tuple[Query, str]]:
        """Yield the windows of an image with their labels, parts after the window they are of.

        One that was answered by a mask has no label.
        """
        for query in self.asked.by_image[image_id]:
            parts = self.asked.parts(query) if self.answers.get(query.id) == MIXED else ()
            for window in (query, *parts):
                answer = self.answers.get(window.id)
                yield window, self.words.word(None if is_mask(answer) else answer)


def standing(asked: AskedRound, said: Mapping[str, Mapping[str, Answer]]) -> dict[str, Answer]:
    """Return the answer of every query that has one, also while parts of a mixed one have none."""
    # Each part counts for itself, as if it were a query that nothing follows from.
    mixed = {name for answers in said.values() for name, word in answers.items() if word == MIXED}
    parts = (asked.parts(query) for query in asked.queries if query.id in mixed)
    every = (*asked.queries, *(part for group in parts for part in group))
    settled = settle(replace(asked, split="drop", queries=every), said)
    return {**settled.answers, **settled.skipped}


def export_queries(
    run: str | Path,
    folder: str | Path,
    format_name: str,
    images: bool = True,
    link: bool = False,
) -> Exported:
    """Write the queries of the newest round for a labelling tool, with the answers so far.

    All is written to a folder beside the one that is named, which appears when all of it is there.

    Args:
        run: The folder of the run.
        folder: Where to write; it must not exist, or be empty.
        format_name: One of ``FORMATS``.
        images: Whether the images go along.
        link: Whether they are links to the originals, where the disk has links. A tool that changes
            an image in its place then changes the original.

    Raises:
        ConfigError: There is no such format, or the folder is in use or cannot be written.
        LabelStoreError: There are no queries, they are damaged, or an image is not the one that is
            asked about.
        ExchangeError: A class has a name that cannot go out.
    """
    write = module_of(format_name).write
    asked = open_newest(Path(run))
    stamp = Stamp(asked.identity, newest(asked))
    answers = standing(asked, latest(asked, stamp.time))
    words = Words(asked.classes, is_painted=asked.region.is_painted)
    outgoing = Outgoing(asked, words, answers, stamp)
    target = Path(folder).resolve()
    if not images:
        asked.check_images(asked.images)
    with export_folder(target) as draft:
        files = write(draft, outgoing)
        converted = sum(
            _bring(asked, image, draft / IMAGES / file_name(image), link)
            for image in (asked.images.values() if images else ())
        )
    windows = [window for name in asked.images for window, _ in outgoing.windows(name)]
    return Exported(
        folder=target,
        files=files,
        round_number=asked.number,
        images=len(asked.images),
        windows=len(windows),
        answered=sum(window.id in answers for window in windows),
        converted=converted,
        is_painted=outgoing.is_painted,
    )


def _bring(asked: AskedRound, image: AskedImage, target: Path, link: bool) -> bool:
    """Put an image into an export, if it is the one that is asked about.

    Returns:
        Whether it is there as a PNG of 8 bits, since a browser does not show its file, or shows the
        values of more bits as black.
    """
    data = asked.checked_bytes(image.id)
    target.parent.mkdir(parents=True, exist_ok=True)
    original = asked.path_of(image.id)
    if not is_shown(image) or data.startswith(TIFF) or read_header(original).deep:
        Image.fromarray(asked.pixels_of(image.id)).save(target, format="PNG", compress_level=1)
        return True
    if link:
        # Another disk, or one without links, takes a copy.
        with suppress(OSError):
            os.link(original.resolve(strict=True), target)
            return False
    target.write_bytes(data)
    return False

"""What a round's files may say: they may come from elsewhere, and nothing in them is trusted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from alseg.labels.records import check_name, check_size
from alseg.labels.region_shape import SPLITS
from alseg.queries.asked import MANIFEST, AskedImage, AskedRound, Query

_DIGEST = re.compile(r"[0-9a-f]{64}|")
_QUERY = re.compile(r"r(\d{3,9})-q\d{6,9}")
MOST_CLASSES = 255


def image_of(entry: Mapping[str, Any]) -> AskedImage:
    """Return an image of ``round.json``.

    Raises:
        LabelStoreError: Its name or its size cannot be those of an image.
        TypeError: It is no object, or has other keys.
        ValueError: Its file or its digest cannot be one.
    """
    image = AskedImage(**entry)
    check_name(image.id)
    check_size(image.id, image.height, image.width)
    if not isinstance(image.digest, str) or not _DIGEST.fullmatch(image.digest):
        raise ValueError(f"the image {image.id} has a digest that is not a SHA-256")
    place = image.file
    if not isinstance(place, str) or not place or "\0" in place:
        raise ValueError(f"the image {image.id} has no file")
    if ".." in PurePosixPath(place.replace("\\", "/")).parts:
        raise ValueError(f"the file of the image {image.id} leads upwards: {place!r:.200}")
    return image


def check_classes(classes: object, colors: object) -> None:
    """Check the classes of a round, and that each has a colour.

    Raises:
        ValueError: They are no such lists.
    """
    if not isinstance(classes, list) or not isinstance(colors, list):
        raise ValueError("the classes or their colours are not a list")
    named = all(isinstance(name, str) and name for name in classes)
    if not named or not 1 <= len(classes) <= MOST_CLASSES or len(set(classes)) < len(classes):
        raise ValueError(f"the classes are not 1 to {MOST_CLASSES} different names")
    if len(colors) != len(classes):
        raise ValueError(f"it has {len(colors)} colours for {len(classes)} classes")
    if not all(_whole(level, 0, 255) for color in colors for level in color):
        raise ValueError("a colour has a level outside of 0 to 255")


def check_split(split: object) -> None:
    """Check what becomes of mixed regions.

    Raises:
        ValueError: It is nothing that is known.
    """
    if split not in SPLITS:
        raise ValueError(f"the split is {split!r:.40}; allowed are {', '.join(SPLITS)}")


def check_queries(asked: AskedRound, queries: Iterable[Query]) -> None:
    """Check that every query has a name of the round's own and is about a region of an image.

    Args:
        asked: The round, its queries not among it yet.
        queries: The queries.

    Raises:
        ValueError: One has not, or there is none.
    """
    names = set()
    for query in queries:
        found = _QUERY.fullmatch(query.id)
        if not found or int(found[1]) != asked.number or query.id in names:
            raise ValueError(
                f"the name {query.id!r:.80} is not that of a query of round {asked.number}"
            )
        names.add(query.id)
        image = asked.images.get(query.image)
        if image is None:
            raise ValueError(
                f"{query.id} is about {query.image!r:.200}, which {MANIFEST} does not list"
            )
        size = image.height, image.width
        is_inside = 0 <= query.row < image.height and 0 <= query.column < image.width
        if not is_inside or query.box != asked.region.outline(size, query.row, query.column):
            raise ValueError(f"the window of {query.id} is not inside {query.image}")
        if not math.isfinite(query.score) or query.guess < 0:
            raise ValueError(f"the score or the guess of {query.id} is invalid")
    if not names:
        raise ValueError("it has no queries")


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

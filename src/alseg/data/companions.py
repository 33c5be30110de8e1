"""Files beside an image that are named after it and are not images: masks, drawings, thumbnails."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WORDS = (
    "annotations?",
    "colou?r(?:mask|s)?",
    "depth",
    "disparity",
    "ground_?truth",
    "gt(?:fine|coarse)?",
    "instances?",
    "instance_?(?:train_?)?ids?",
    "labels?",
    "labels?_?(?:train_?)?ids?",
    "masks?",
    "overlay",
    "panoptic",
    "segmentation",
    "seg",
    "semantic",
    "thumb(?:nail)?",
    "train_?ids?",
    "(?-i:L)",
)
_LAST_WORD = re.compile(rf"[-_. ](?:{'|'.join(_WORDS)})$", re.IGNORECASE)


def companions(names: Iterable[str], images: Collection[str]) -> set[str]:
    """Return which names are that of an image and words for its labels, such as ``0001_mask``.

    Args:
        names: Paths without their endings.
        images: The same of the images that they may be named after.
    """
    return {name for name in names if _named_after(name, images)}


def _named_after(name: str, images: Collection[str]) -> bool:
    while (last := _LAST_WORD.search(name)) is not None:
        name = name[: last.start()]
        if name in images:
            return True
    return False

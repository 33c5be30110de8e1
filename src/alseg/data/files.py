"""Finding images and their labels on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alseg.errors import DatasetError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_NAMED = 5


@dataclass(frozen=True)
class Pair:
    """An image and, where there is one, its label file."""

    id: str
    image: Path
    label: Path | None = None


def require_folder(folder: Path, purpose: str, remedy: str) -> Path:
    """Return the folder if it exists.

    Args:
        folder: What is looked for.
        purpose: What it should hold, for the error.
        remedy: What the user should do, as a sentence.

    Raises:
        DatasetError: It does not exist; the message lists what lies in its nearest parent.
    """
    if folder.is_dir():
        return folder
    if folder.exists():
        raise DatasetError(f"{folder} should be the folder with {purpose}, but is a file. {remedy}")
    parent = folder.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    raise DatasetError(
        f"No folder {folder} with {purpose}. {parent} holds {listing(parent)}. {remedy}"
    )


def listing(folder: Path) -> str:
    """Name the first entries of a folder, in words."""
    entries = sorted(
        entry.name + ("/" if entry.is_dir() else "")
        for entry in os.scandir(folder)
        if not entry.name.startswith(".")
    )
    if not entries:
        return "nothing"
    more = f" and {len(entries) - _NAMED} more" if len(entries) > _NAMED else ""
    return ", ".join(entries[:_NAMED]) + more


def scan(folder: Path, suffixes: Sequence[str], prefix: str = "") -> dict[str, Path]:
    """Find files by how their names end, in one pass over a folder and what lies below it.

    Hidden files and folders are left out; upper and lower case count as the same.

    Args:
        folder: Where to look.
        suffixes: Endings such as ``_rgb.png``, in lower case; the ending is cut off the id.
        prefix: Goes before each id.

    Returns:
        The files by id, which is the path below ``folder`` with ``/`` and without the ending,
        in sorted order.

    Raises:
        DatasetError: Two files would have the same id.
    """
    found: dict[str, Path] = {}
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(where).relative_to(folder)
        for name in names:
            ending = next((end for end in suffixes if name.lower().endswith(end)), None)
            if ending is None or name.startswith("."):
                continue
            id_ = prefix + (below / name[: -len(ending)]).as_posix()
            path = Path(where, name)
            if id_ in found:
                raise DatasetError(
                    f"{found[id_]} and {path} go by the same name but for their ending, so it is "
                    "not clear which of them is meant. Rename or remove one."
                )
            found[id_] = path
    return dict(sorted(found.items()))


def find_pairs(
    images: Mapping[str, Path],
    labels: Mapping[str, Path] | None,
    images_in: str,
    labels_in: str,
) -> list[Pair]:
    """Match images and label files by id.

    Args:
        images: Image files by id.
        labels: Label files by id; None if the folder of labels does not exist.
        images_in: Where the images were looked for, for errors.
        labels_in: Where the label files were looked for, for errors.

    Raises:
        DatasetError: There is no image, or some image or label file has no counterpart.
    """
    if not images:
        raise DatasetError(
            f"No images were found: looked for {images_in}. "
            "Check the path, and that the data set was unpacked there."
        )
    if labels is None:
        return [Pair(id_, path) for id_, path in images.items()]
    bare = [id_ for id_ in images if id_ not in labels]
    orphans = [id_ for id_ in labels if id_ not in images]
    if bare or orphans:
        complaints = []
        if bare:
            complaints.append(f"{len(bare)} of {len(images)} images have no label ({_first(bare)})")
        if orphans:
            complaints.append(
                f"{len(orphans)} of {len(labels)} label files have no image ({_first(orphans)})"
            )
        raise DatasetError(
            f"Images and labels do not match: {'; '.join(complaints)}. Images are {images_in}, "
            f"labels are {labels_in}. Add what is missing or remove what is left over; without "
            "any folder of labels the images open as a pool without labels."
        )
    return [Pair(id_, path, labels[id_]) for id_, path in images.items()]


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")

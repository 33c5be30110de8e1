"""Finding images and their labels on disk."""

from __future__ import annotations

import logging
import os
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alseg.data.companions import companions
from alseg.data.walk import files_below
from alseg.errors import DatasetError

log = logging.getLogger("alseg")

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_NAMED = 5
_TRIED = 50


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
    """Find files by how their names end, in a folder and what is below it (see ``files_below``).

    Upper and lower case of endings count as the same.

    Args:
        folder: Where to look.
        suffixes: Endings such as ``_rgb.png``, in lower case; the ending is cut off the id.
        prefix: Goes before each id.

    Returns:
        The files by id, which is the path below ``folder`` with ``/``, without the ending and in
        Unicode's composed form (NFC), in sorted order.

    Raises:
        DatasetError: Two files would have the same id; a folder cannot be read; or what is named
            like such a file is not a file.
    """
    found: dict[str, Path] = {}
    for path in files_below(folder, lambda name: _ending(name, suffixes) is not None):
        name = composed(path.relative_to(folder).as_posix())
        id_ = prefix + name[: -len(_ending(name, suffixes) or "")]
        if id_ in found:
            raise same_name(found[id_], path)
        found[id_] = path
    return dict(sorted(found.items()))


def composed(name: str) -> str:
    """Return a name in Unicode's composed form, in which é is one character."""
    return unicodedata.normalize("NFC", name)


def same_name(first: Path, second: Path) -> DatasetError:
    """Return the error that two images go by one name."""
    differ = "their ending"
    if composed(str(first)) == composed(str(second)):
        differ = "how Unicode writes their accents (NFC and NFD)"
    elif composed(first.stem) != composed(second.stem):
        differ = "the folder that they were found in"
    return DatasetError(
        f"{first} and {second} go by the same name but for {differ}, so it is "
        "not clear which of them is meant. Rename or remove one."
    )


def without_companions(images: Mapping[str, Path], keep: Container[str] = ()) -> dict[str, Path]:
    """Return the images without files named after one of them, such as ``0001_mask.png``.

    Args:
        images: Image files by id.
        keep: The ids to return in any case.
    """
    extra = {id_ for id_ in companions(images, images.keys()) if id_ not in keep}
    _say_left_out(images[id_] for id_ in sorted(extra))
    return {id_: path for id_, path in images.items() if id_ not in extra}


def find_pairs(
    images: Mapping[str, Path],
    labels: Mapping[str, Path] | None,
    images_in: str,
    labels_in: str,
    remedy: Callable[[str], str] | None = None,
) -> list[Pair]:
    """Match images and label files by id.

    Files that are named after an image or label beside them and have no counterpart of their own
    are left out. An image that links reach under two names counts once.

    Args:
        images: Image files by id.
        labels: Label files by id; None if the folder of labels does not exist.
        images_in: Where the images were looked for, for errors.
        labels_in: Where the label files were looked for, for errors.
        remedy: Returns what to do where all labels are named after images with the same words
            behind, given these words.

    Raises:
        DatasetError: There is no image, or some image or label file has no counterpart.
    """
    if not images:
        raise DatasetError(
            f"No images were found: looked for {images_in}. "
            "Check the path, and that the data set was unpacked there."
        )
    images = without_companions(images, keep=labels or ())
    if labels is None:
        return [Pair(id_, path) for id_, path in _once(images).items()]
    bare = [id_ for id_ in images if id_ not in labels]
    orphans = [id_ for id_ in labels if id_ not in images]
    extra = companions(orphans, labels.keys() & images.keys())
    orphans = [id_ for id_ in orphans if id_ not in extra]
    _say_left_out(labels[id_] for id_ in sorted(extra))
    if bare or orphans:
        complaints = []
        if bare:
            complaints.append(f"{len(bare)} of {len(images)} images have no label ({_first(bare)})")
        if orphans:
            complaints.append(
                f"{len(orphans)} of {len(labels)} label files have no image ({_first(orphans)})"
            )
        suffix = common_suffix(bare, labels) if remedy else None
        what_to_do = (
            remedy(suffix)
            if remedy and suffix
            else "Add what is missing or remove what is left over; without any folder of labels "
            "the images open as a pool without labels."
        )
        raise DatasetError(
            f"Images and labels do not match: {'; '.join(complaints)}. Images are {images_in}, "
            f"labels are {labels_in}. {what_to_do}"
        )
    return [Pair(id_, path, labels[id_]) for id_, path in _once(images).items()]


def common_suffix(images: Sequence[str], labels: Collection[str]) -> str | None:
    """Return what most labels add to the names of images; None if they add nothing."""
    ordered = sorted(labels)
    counts: Counter[str] = Counter()
    for id_ in images[:_TRIED]:
        for label in ordered[bisect_left(ordered, id_) :]:
            if not label.startswith(id_):
                break
            # 1_mask is the label of 1, and 10_mask that of 10.
            if label != id_ and not label[len(id_)].isalnum():
                counts[label[len(id_) :]] += 1
    return max(counts, key=lambda suffix: counts[suffix]) if counts else None


def _say_left_out(files: Iterable[Path]) -> None:
    names = [file.name for file in files]
    if names:
        count = "1 file is" if len(names) == 1 else f"{len(names):,} files are"
        log.info("%s left out, named after another beside it: %s.", count, _first(names))


def _ending(name: str, suffixes: Sequence[str]) -> str | None:
    """Return the ending of a name, unless it is the whole name."""
    base = composed(name).rpartition("/")[2].lower()
    return next((end for end in suffixes if base.endswith(end) and base != end), None)


def _once(images: Mapping[str, Path]) -> dict[str, Path]:
    """Leave out images that are links to another one of them."""
    by_inode: dict[tuple[int, int], list[str]] = {}
    for id_, path in images.items():
        status = path.stat()
        by_inode.setdefault((status.st_dev, status.st_ino), []).append(id_)
    extra: set[str] = set()
    for ids in by_inode.values():
        reached: set[Path] = set()
        # Of a file and the links to it, the file is kept. Hard links are files of their own.
        for id_ in sorted(ids, key=lambda id_: images[id_].is_symlink()) if ids[1:] else ():
            real = images[id_].resolve()
            if real in reached:
                extra.add(id_)
            reached.add(real)
    return {id_: path for id_, path in images.items() if id_ not in extra}


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")

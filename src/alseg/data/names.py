"""Names of images as names of files: what cannot be stored is refused before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from alseg.data.base import Pool, file_of
from alseg.data.files import IMAGE_SUFFIXES
from alseg.errors import ConfigError, DatasetError

_LONGEST = 255
_RESERVED = 25
"""Bytes that stay free for what is added to a name, such as ``.predicted.jpg.part``."""
_ADDED = frozenset(
    ending + draft for ending in (*IMAGE_SUFFIXES, ".csv", ".txt") for draft in ("", ".part")
)


def check_storable(names: Iterable[str]) -> None:
    """Check that files named after images can be written, and beside each other.

    Args:
        names: Relative paths with ``/``, without endings.

    Raises:
        DatasetError: A name cannot be that of a file on every system, or one is that of a folder
            of another.
    """
    known = {}
    for name in names:
        _check_name(name)
        known[name.casefold()] = name
    for name in known.values():
        for folder in PurePosixPath(name).parents:
            stem = folder.name
            for place in (place for place, sign in enumerate(stem) if sign == "."):
                image = str(folder.parent / stem[:place]) if place else ""
                if stem[place:].casefold() in _ADDED and image.casefold() in known:
                    raise DatasetError(
                        f"The images {known[image.casefold()]!r} and {name!r} cannot both be "
                        f"stored: {folder.as_posix()!r} would be a file of the first and the "
                        "folder of the second. Rename the image or the folder."
                    )


def _check_name(name: str) -> None:
    reason = ""
    try:
        longest = max(len(part.encode()) for part in name.split("/"))
    except UnicodeEncodeError:
        reason = "is not UTF-8"
    else:
        path = PurePosixPath(name)
        if not name.isprintable():
            reason = "holds control characters"
        elif "\\" in name or path.is_absolute() or ".." in path.parts or str(path) != name:
            reason = "is not a plain relative path"
        elif any(part[-1] in " ." for part in path.parts[:-1]):
            # The last part gets an ending, which keeps what is before it.
            reason = "has a folder that ends in a space or a dot, which some systems drop"
        elif longest > _LONGEST - _RESERVED:
            reason = f"has {longest} bytes, of which {_LONGEST - _RESERVED} leave room for endings"
    if reason:
        raise DatasetError(
            f"The image name {name!r:.200} cannot be that of a file on every system: it {reason}. "
            "Rename the image."
        )


def check_apart(out: Path, images: Pool | None) -> None:
    """Check that a folder to write to is not among the images of a data set.

    Raises:
        ConfigError: It is.
    """
    if images is None:
        return
    files = ((image_id, file_of(images, index)) for index, image_id in enumerate(images.ids))
    roots = {file.parents[image_id.count("/")] for image_id, file in files if file is not None}
    for root in roots:
        check_outside(out, root)


def check_outside(out: Path, root: Path) -> None:
    """Check that a folder to write to is not inside a folder of images.

    Raises:
        ConfigError: It is.
    """
    inside, around = out.resolve(), root.resolve()
    if inside == around or around in inside.parents:
        raise ConfigError(
            f"{out} is inside {root}, which holds the images: what is written there would count as "
            "images. Name a folder elsewhere."
        )

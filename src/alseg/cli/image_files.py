"""Finding the images that a person means, and a name for each of their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from alseg.data.files import IMAGE_SUFFIXES
from alseg.errors import DatasetError


def find_images(paths: Sequence[str], leave_out: Path) -> dict[str, Path]:
    """Return the named files and the images in the named folders, each under a name of its own.

    A name is the file's path inside the folder that was named, or its own name, without suffix.
    Where two would be the same, all are named by their path below the folder that they share, and
    if that is not enough they keep their suffix: no result overwrites another.

    Args:
        paths: Files, and folders that are searched to the bottom.
        leave_out: A folder whose files are not wanted, such as that of earlier results.

    Raises:
        DatasetError: A path does not exist, or there is no image in a folder.
    """
    inside: dict[Path, Path] = {}
    for path in map(Path, paths):
        found = _in_folder(path, leave_out) if path.is_dir() else [path]
        if not path.exists():
            raise DatasetError(f"There is no file or folder {path}.")
        if not found:
            raise DatasetError(
                f"There is no image in {path}. "
                f"Images are files that end in {', '.join(IMAGE_SUFFIXES)}."
            )
        for file in found:
            inside.setdefault(
                file.resolve(), file.relative_to(path if path.is_dir() else path.parent)
            )
    names = {file: relative.with_suffix("") for file, relative in inside.items()}
    if _clashes(names.values()):
        shared = os.path.commonpath([file.parent for file in inside])
        names = {file: file.relative_to(shared).with_suffix("") for file in inside}
    twice = _clashes(names.values())
    return {
        (f"{name}{file.suffix}" if name in twice else str(name)): file
        for file, name in names.items()
    }


def _in_folder(folder: Path, leave_out: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES
        and file.is_file()
        and leave_out.resolve() not in file.resolve().parents
    )


def _clashes(names: Iterable[Path]) -> set[Path]:
    return {name for name, count in Counter(names).items() if count > 1}

"""Finding the images that a person means, and a name for each of their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from alseg.data.files import IMAGE_SUFFIXES, composed, same_name, without_companions
from alseg.data.names import check_outside, check_storable
from alseg.data.walk import files_below, require_file
from alseg.errors import DatasetError


def find_images(paths: Sequence[str], out: Path) -> dict[str, Path]:
    """Return the named files and the images in the named folders, each under a name of its own.

    A name is the file's path inside the folder that was named, or its own name, without suffix.
    Where two would be the same, all are named by their path below the folder that they share, and
    if that is not enough they keep their suffix: no result overwrites another.

    Args:
        paths: Files, and folders that are searched to the bottom.
        out: The folder that is written to.

    Raises:
        ConfigError: ``out`` is inside a folder of images.
        DatasetError: A path does not exist, there is no image in a folder, or results named after
            the images cannot be stored.
    """
    inside: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found = _in_folder(path)
            if found:
                check_outside(out, path)
        elif not path.exists() and not path.is_symlink():
            raise DatasetError(f"There is no file or folder {path}.")
        else:
            found = [require_file(path)]
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
    images: dict[str, Path] = {}
    for file, name in names.items():
        unique = composed(f"{name}{file.suffix}" if _composed(name) in twice else str(name))
        if unique in images:
            raise same_name(images[unique], file)
        images[unique] = file
    check_storable(images)
    return images


def _in_folder(folder: Path) -> list[Path]:
    by_name: dict[str, list[Path]] = {}
    for file in files_below(folder, lambda name: Path(name).suffix.lower() in IMAGE_SUFFIXES):
        name = composed(file.relative_to(folder).with_suffix("").as_posix())
        by_name.setdefault(name, []).append(file)
    kept = without_companions({name: files[0] for name, files in by_name.items()})
    return sorted(file for name in kept for file in by_name[name])


def _clashes(names: Iterable[Path]) -> set[Path]:
    return {name for name, count in Counter(map(_composed, names)).items() if count > 1}


def _composed(name: Path) -> Path:
    return Path(composed(str(name)))

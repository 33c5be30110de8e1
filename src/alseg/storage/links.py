"""Folders that may come from elsewhere: nothing in them leads out of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from alseg.errors import FolderLeadsOut, LabelStoreError

OF_OTHERS = ("wandb",)
"""Folders of a run that other programs keep, with links of theirs."""


def refuse_links_out(folder: Path) -> None:
    """Check that no link in a run's folder leads out of it, and that nothing in it is a pipe.

    alseg makes no links. What it reads or writes by a name in the folder would otherwise be any
    file of whoever opens the folder, and a pipe would be waited for.

    Raises:
        FolderLeadsOut: Something does; the message names it.
    """
    inside = folder.resolve()
    for entry in _entries(folder):
        path = Path(entry.path)
        if entry.is_symlink():
            if not path.resolve().is_relative_to(inside):
                raise FolderLeadsOut(
                    f"{path} is a link to {path.readlink()}, out of {folder}: nothing is read or "
                    "written by it. Put the file or folder itself there, or remove the link."
                )
        elif not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
            raise FolderLeadsOut(f"{path} is a pipe or a device, which no run has. Remove it.")


def check_inside(folder: Path, path: Path) -> None:
    """Check that a path that a file named stays in a folder, also where links lead.

    Raises:
        LabelStoreError: It leads out.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise LabelStoreError(
            f"{path} leads out of {folder}, and is neither read nor written. Remove it, or restore "
            "the folder from a copy."
        )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    left = [str(folder)]
    while left:
        try:
            listing = list(os.scandir(left.pop()))
        except OSError:
            # What cannot be listed is not there, or is named where it is read.
            continue
        for entry in listing:
            yield entry
            is_kept = entry.name in OF_OTHERS and Path(entry.path).parent == folder
            if entry.is_dir(follow_symlinks=False) and not is_kept:
                left.append(entry.path)

"""Folders that appear when they are whole: written beside their place, and renamed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alseg.errors import ConfigError
from alseg.storage.durable import sync_folder


def publish(draft: Path, target: Path) -> None:
    """Give a folder that is whole its name, at once, and wait until the storage has it.

    The files in it are waited for by who writes them.

    Raises:
        OSError: It cannot be renamed, or the storage fails.
    """
    for inside in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
        sync_folder(inside)
    draft.rename(target)
    sync_folder(target.parent)


@contextmanager
def whole_folder(target: Path, draft: Path) -> Iterator[Path]:
    """Write a folder inside the block; it survives a crash in full or not at all.

    Where the block fails nothing is left; what a process that was killed left is thrown away.

    Args:
        target: The folder, which is not there. Those above it are made.
        draft: Where it is written, beside the target; no other process may use it.

    Yields:
        The draft.

    Raises:
        OSError: It cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        publish(draft, target)
        # The folder above may be new, too.
        sync_folder(target.parent.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def export_folder(target: Path) -> Iterator[Path]:
    """Write a folder that a person named inside the block, in a draft that nobody else has.

    It appears at the end of the block; where that fails nothing is left.

    Args:
        target: The folder; it must not exist, or be empty.

    Yields:
        The draft.

    Raises:
        ConfigError: The folder is in use or cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is in use, and nothing in it is overwritten. Name another.")
    draft = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        draft.chmod(0o755)
        yield draft
        if target.exists():
            target.rmdir()
        draft.rename(target)
    except OSError as error:
        raise ConfigError(
            f"Cannot write {error.filename or target}: {error.strerror or error}. Free some space "
            "or name a folder that can be written, and export again."
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)

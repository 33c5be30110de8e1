"""Opening a page in the browser: its token stays out of command lines, which all users can read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from threading import Thread

from alseg.errors import LabelStoreError

_PREFIX = ".browser-"

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>alseg</title>
<p><a href="{url}">Open the labelling page</a></p>
</html>
"""


@contextmanager
def redirection(folder: Path, url: str) -> Iterator[Path]:
    """Keep a page inside the block that leads to an address and only this user can read.

    Below the folder of a run, as browsers in a sandbox are shown neither the folder for temporary
    files nor those whose names begin with a dot in the home folder.

    Args:
        folder: Where the page is made, in a folder of its own.
        url: The address.

    Yields:
        The file of the page.

    Raises:
        LabelStoreError: The folder cannot hold what only one user can read.
    """
    try:
        for left in folder.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    except OSError as error:
        raise _refusal(folder, error) from error
    try:
        yield _write(own / "open.html", url)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def open_in_browser(page: Path) -> None:
    """Open a file in the browser, which may take as long as it likes."""
    Thread(target=webbrowser.open, args=(page.absolute().as_uri(),), daemon=True).start()


def _write(page: Path, url: str) -> Path:
    try:
        descriptor = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for path in (page.parent, page):
                # Some file systems have no such modes.
                if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
                    raise OSError("all users may read what is written there")
            file.write(_PAGE.format(url=escape(url)))
    except OSError as error:
        raise _refusal(page.parent.parent, error) from error
    return page


def _refusal(folder: Path, error: OSError) -> LabelStoreError:
    return LabelStoreError(
        f"No browser is opened, as {folder} can hold no file that is yours alone: "
        f"{error.strerror or error}. Open the address yourself."
    )

"""Text for a terminal: names from outside are shown, and never obeyed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_UP = "\x1b[A"


def shown(text: str) -> str:
    """Return a text with what a terminal would obey or could not show written as an escape.

    These are control characters, such as those that begin a colour or clear the screen, marks that
    turn the direction of what follows, and bytes of a name that are no UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


@contextmanager
def plain_output() -> Iterator[None]:
    """Show what the body writes to the terminal, as ``shown`` does; bars of progress still move."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", _Plain(out)), cast("TextIO", _Plain(err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


class _Plain:
    """A stream that shows control characters, but for those that move a bar of tqdm."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        # tqdm goes to the start of a line, and up by lines, in writes of their own.
        if text.replace(_UP, "").strip("\n"):
            inner = text.strip("\r")
            before = text[: len(text) - len(text.lstrip("\r"))]
            text = f"{before}{shown(inner)}{text[len(before) + len(inner) :]}"
        self._stream.write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

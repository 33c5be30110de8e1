"""Cells of a CSV that people open in a spreadsheet, which computes what begins like a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def to_cell(value: object) -> object:
    """Return a value as a cell: a text that a spreadsheet would compute gets ``'`` before it.

    Numbers stay as they are. A text that such a cell would stand for gets one more, so that
    ``from_cell`` returns every text as it was.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(text: str) -> str:
    """Return the text that ``to_cell`` made a cell of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

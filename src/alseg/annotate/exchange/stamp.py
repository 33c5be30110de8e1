"""Which run a file was exported from, and when: a text that travels with the queries."""

from __future__ import annotations

import re
from typing import NamedTuple

STAMP = "run"
"""What the text is called in a file: an attribute, a column or a key."""

# A spreadsheet takes no text of this kind for a number or a date.
_TEXT = re.compile(r"run-([0-9a-f]{16})-(\d{1,15})")


class Stamp(NamedTuple):
    """Where the queries of a file come from.

    Attributes:
        identity: The identity of the round, see ``AskedRound``.
        time: When the newest answer in the file was given, in milliseconds since 1970; 0 where it
            was exported without one.
    """

    identity: str
    time: int

    @classmethod
    def read(cls, text: str) -> Stamp | None:
        """Return the stamp that a text is; None where it is something else."""
        found = _TEXT.fullmatch(text.strip())
        return cls(found[1], int(found[2])) if found else None

    def __str__(self) -> str:
        return f"run-{self.identity}-{self.time}"

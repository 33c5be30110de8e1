"""What people answered, one file a person; what follows is in ``alseg.active.settling``.

``answers/NAME.jsonl`` of a round's folder only ever grows, a line an answer. A line that says
``null`` takes an answer back. The last line of a person about a query is what counts.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from alseg.active.asked import AskedRound
from alseg.durable import sync_folder
from alseg.errors import LabelStoreError

MIXED, VOID, SKIP = "mixed", "void", "skip"
OTHERS = (MIXED, VOID, SKIP)
"""The answers besides the classes: several classes in the window, none of them, cannot tell."""

REVIEW = "review"
"""The name under which corrections are kept; they count more than anybody's answer."""

IMPORT = "import"
"""The name under which answers from other tools are kept, where nobody is named."""

Answer = int | str
"""The number of a class, or one of ``OTHERS``."""

LONGEST_LOOK = 60.0
"""Seconds that a look at a query counts for at most; whoever takes longer has been away."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Entry:
    """A line of a person's file.

    Attributes:
        query: Name of the query.
        answer: What was answered; None takes the answer back.
        seconds: How long the query was on the person's screen; of this, ``LONGEST_LOOK`` counts.
        time: When it was answered, in seconds since 1970.
    """

    query: str
    answer: Answer | None
    seconds: float = 0.0
    time: float = 0.0


def check_answer(asked: AskedRound, query: str, answer: object) -> None:
    """Check that a query may be answered so.

    Raises:
        LabelStoreError: The round has no such query, or the answer is none of those allowed.
    """
    try:
        asked.find(query)
    except KeyError:
        raise LabelStoreError(
            f"Round {asked.number} has no query {query!r}; its queries are "
            f"{asked.queries[0].id} to {asked.queries[-1].id}."
        ) from None
    if isinstance(answer, int) and not isinstance(answer, bool):
        allowed = 0 <= answer < len(asked.classes)
    else:
        allowed = answer in OTHERS
    if not allowed:
        raise LabelStoreError(
            f"The answer {answer!r} to {query} is neither a class number from 0 to "
            f"{len(asked.classes) - 1} nor one of {', '.join(OTHERS)}."
        )


class Journal:
    """The file of one person; every answer is on disk when ``append`` returns.

    Attributes:
        path: The file.
    """

    def __init__(self, asked: AskedRound, person: str) -> None:
        """Use the file of a person, which need not be there yet.

        Raises:
            LabelStoreError: The name cannot be that of a file.
        """
        if not NAME.fullmatch(person):
            raise LabelStoreError(
                f"The name {person!r} cannot be used; up to 40 letters, digits, - and _ can."
            )
        self.path = asked.folder / "answers" / f"{person}.jsonl"

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries at the end of the file, all at once, and wait until they are on disk.

        Raises:
            LabelStoreError: They cannot be written; the file is as before.
        """
        lines = "".join(_to_line(entry) for entry in entries).encode()
        try:
            new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, as what is left in one is written when the file is closed, also
            # after the disk was full.
            with self.path.open("ab", buffering=0) as file:
                whole = _whole_lines(self.path)
                file.truncate(whole)
                try:
                    left = memoryview(lines)
                    while left:
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(whole)
                    raise
            if new:
                sync_folder(self.path.parent)
                sync_folder(self.path.parent.parent)
        except OSError as error:
            raise LabelStoreError(
                f"The answer cannot be written to {self.path}: {error.strerror or error}. Free "
                "some space or allow writing there, and answer again."
            ) from error

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first; a last line that was cut short is left out.

        Raises:
            LabelStoreError: A line before the last is damaged.
        """
        if not self.path.is_file():
            return []
        *lines, _ = self.path.read_bytes().split(b"\n")
        return [self._entry(number, line) for number, line in enumerate(lines, start=1)]

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            content = json.loads(line)
            return Entry(
                str(content["query"]),
                content["answer"],
                float(content["seconds"]),
                float(content["time"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LabelStoreError(
                f"Line {number} of {self.path} is no answer ({error}). Remove the line; the query "
                "is asked again."
            ) from error


def _to_line(entry: Entry) -> str:
    content = {
        "query": entry.query,
        "answer": entry.answer,
        "seconds": round(entry.seconds, 3),
        "time": round(entry.time or time.time(), 3),
    }
    return json.dumps(content) + "\n"


def _whole_lines(path: Path) -> int:
    """Return the bytes of a file without a last line that a killed process left unfinished."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while end:
            # From the end, as a long file is almost always whole.
            start = max(0, end - 1024)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def people(asked: AskedRound) -> list[str]:
    """Return who answered something so far, in the order of the alphabet.

    Raises:
        LabelStoreError: A file beside the answers is called like none of them.
    """
    found = []
    for path in (asked.folder / "answers").glob("*.jsonl"):
        if not NAME.fullmatch(path.stem):
            raise LabelStoreError(
                f"{path} is in the way: it is called like a file of answers, but nobody can be "
                f"called {path.stem!r}. Move it out of the folder."
            )
        found.append(path.stem)
    return sorted(found)


def latest(asked: AskedRound) -> dict[str, dict[str, Answer]]:
    """Return, by person and query, what counts; answers that were taken back are left out.

    Raises:
        LabelStoreError: A file of answers is damaged or answers what was not asked.
    """
    result: dict[str, dict[str, Answer]] = {}
    for person in people(asked):
        said: dict[str, Answer] = {}
        journal = Journal(asked, person)
        for entry in journal.entries():
            if entry.answer is None:
                said.pop(entry.query, None)
            else:
                try:
                    check_answer(asked, entry.query, entry.answer)
                except LabelStoreError as error:
                    raise LabelStoreError(
                        f"{journal.path}: {error} Remove the line; the query is asked again."
                    ) from error
                said[entry.query] = entry.answer
        result[person] = said
    return result

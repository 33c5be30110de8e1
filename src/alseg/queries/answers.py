"""What people answered, one file a person; what follows is in ``alseg.queries.settling``.

``answers/NAME.jsonl`` of a round's folder only ever grows, a line an answer. A line that says
``null`` takes an answer back. The last line of a person about a query is what counts.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO

from alseg.config.answer_keys import OTHERS
from alseg.errors import LabelStoreError
from alseg.queries.answers_folder import AnswersFolder
from alseg.queries.asked import AskedRound
from alseg.queries.masks import is_mask
from alseg.storage.durable import sync_folder

REVIEW = "review"
"""The name under which corrections are kept; they count more than anybody's answer."""

IMPORT = "import"
"""The name under which answers from other tools are kept, where nobody is named."""

Answer = int | str
"""The number of a class, one of ``OTHERS``, or the name of a mask (``alseg.queries.masks``)."""

LONGEST_LOOK = 60.0
"""Seconds that a look at a query counts for at most; whoever takes longer has been away."""

LATEST = 1e11
"""Seconds since 1970 that no answer is given after."""

JOURNAL = ".jsonl"
"""What the name of a person's file ends in."""

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

    @property
    def milliseconds(self) -> int:
        """When it was answered, in whole milliseconds since 1970, as the file has it."""
        return round(self.time * 1000)


def check_answer(asked: AskedRound, query: str, answer: object) -> None:
    """Check that a query may be answered so.

    Raises:
        LabelStoreError: The round has no such query, or the answer is none of those allowed.
    """
    try:
        asked.find(query)
    except KeyError:
        raise LabelStoreError(
            f"Round {asked.number} has no query {reprlib.repr(query)}; its queries are "
            f"{asked.queries[0].id} to {asked.queries[-1].id}."
        ) from None
    if isinstance(answer, int) and not isinstance(answer, bool):
        allowed = 0 <= answer < len(asked.classes)
    else:
        painted = asked.region.is_painted and is_mask(answer)
        allowed = painted or (isinstance(answer, str) and answer in OTHERS)
    if not allowed:
        raise LabelStoreError(
            f"The answer {reprlib.repr(answer)} to {query} is neither a class number from 0 to "
            f"{len(asked.classes) - 1} nor one of {', '.join(OTHERS)}."
        )


class Journal:
    """The file of one person; every answer is on disk when ``append`` returns.

    Attributes:
        path: The file.
    """

    def __init__(self, asked: AskedRound, person: str, folder: AnswersFolder | None = None) -> None:
        """Use the file of a person, which need not be there yet.

        Args:
            asked: The round.
            person: The name.
            folder: Where the round's answers are; None opens it.

        Raises:
            LabelStoreError: The name cannot be that of a file.
        """
        if not NAME.fullmatch(person):
            raise LabelStoreError(
                f"The name {person!r:.60} cannot be used; up to 40 letters, digits, - and _ can."
            )
        self._folder = folder or AnswersFolder(asked.folder)
        self.path = self._folder.path / f"{person}{JOURNAL}"

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries at the end of the file, all at once, and wait until they are on disk.

        Processes that append to one file at once wait for each other.

        Raises:
            Stopped: The folder takes no more answers.
            LabelStoreError: They cannot be written; the file is as before.
        """
        lines = "".join(_to_line(entry) for entry in entries).encode()
        try:
            with self._folder.appending(self.path.name) as file:
                # Under the lock, a line without an end is that of a process that was killed.
                whole, size = _whole_lines(file)
                if whole < size:
                    file.truncate(whole)
                try:
                    left = memoryview(lines)
                    while left:
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                    if not whole:
                        sync_folder(self.path.parent)
                except OSError:
                    file.truncate(whole)
                    raise
        except OSError as error:
            raise LabelStoreError(
                f"The answer cannot be written to {self.path}: {error.strerror or error}. Free "
                "some space or allow writing there, and answer again."
            ) from error

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first; a last line that was cut short is left out.

        Raises:
            LabelStoreError: A line before the last is damaged, or the file is a link.
        """
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise LabelStoreError(
                f"{self.path} is no ordinary file. Put the file of answers itself there."
            )
        if not self.path.exists():
            return []
        *lines, _ = self.path.read_bytes().split(b"\n")
        return [self._entry(number, line) for number, line in enumerate(lines, start=1)]

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            content = json.loads(line)
            seconds, when = float(content["seconds"]), float(content["time"])
            if not (0 <= seconds < math.inf and 0 <= when < LATEST):
                raise ValueError("its seconds or its time are invalid")
            return Entry(str(content["query"]), content["answer"], seconds, when)
        except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
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


def _whole_lines(file: FileIO) -> tuple[int, int]:
    """Return the bytes of the whole lines of a file, and of all with a last one cut short."""
    end = size = file.seek(0, os.SEEK_END)
    while end:
        # From the end, as a long file is almost always whole.
        start = max(0, end - 1024)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1, size
        end = start
    return 0, size


def people(asked: AskedRound) -> list[str]:
    """Return who answered something so far, in the order of the alphabet.

    Raises:
        LabelStoreError: A file beside the answers is called like none of them.
    """
    found = []
    for path in asked.answers.glob(f"*{JOURNAL}"):
        if not NAME.fullmatch(path.stem):
            raise LabelStoreError(
                f"{path} is in the way: it is called like a file of answers, but nobody can be "
                f"called {path.stem!r}. Move it out of the folder."
            )
        found.append(path.stem)
    return sorted(found)


def latest(asked: AskedRound, until: int | None = None) -> dict[str, dict[str, Answer]]:
    """Return, by person and query, what counts; answers that were taken back are left out.

    Args:
        asked: The round.
        until: Leave out what was answered later, in milliseconds since 1970; None takes all.

    Raises:
        LabelStoreError: A file of answers is damaged or answers what was not asked.
    """
    result: dict[str, dict[str, Answer]] = {}
    for person in people(asked):
        said: dict[str, Answer] = {}
        journal = Journal(asked, person)
        for entry in journal.entries():
            if until is not None and entry.milliseconds > until:
                continue
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


def newest(asked: AskedRound) -> int:
    """Return when the newest answer was given, in milliseconds since 1970; 0 without any.

    Raises:
        LabelStoreError: A file of answers is damaged.
    """
    times = (
        entry.milliseconds for person in people(asked) for entry in Journal(asked, person).entries()
    )
    return max(times, default=0)

"""One person's answers to a round: what is asked next, and what may be taken back."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from threading import RLock

from alseg.config.answer_keys import MIXED
from alseg.queries.answers import LONGEST_LOOK, Answer, Entry, Journal, check_answer
from alseg.queries.answers_folder import AnswersFolder
from alseg.queries.asked import AskedRound, Query

RECENT = 30
"""Answers that the pace is taken from."""


class Desk:
    """The answers of one person, kept in memory and in the person's journal.

    Every call takes time that does not grow with the round, except the first.

    Attributes:
        person: The name.
        said: By query, what counts, in the order in which it was answered.
        lock: Held by whoever reads several things that belong together.
        total: Queries to answer.
        done: Queries answered, mixed ones with all of their parts.
    """

    def __init__(
        self,
        asked: AskedRound,
        person: str,
        share: Sequence[str] | None,
        folder: AnswersFolder | None = None,
    ) -> None:
        """Read what the person answered so far.

        Args:
            asked: The round.
            person: The name.
            share: The queries that the person is asked; None is asked nothing and may answer all.
            folder: Where the round's answers are; None opens it.

        Raises:
            LabelStoreError: The journal is damaged, or answers what was not asked.
        """
        self.person = person
        self.said: dict[str, Answer] = {}
        self.lock = RLock()
        self.total = len(share or ())
        self._asked = asked
        self._may_answer_all = share is None
        self._share = tuple(share or ())
        self._position = {name: position for position, name in enumerate(self._share)}
        self._journal = Journal(asked, person, folder)
        self._revisions: Counter[str] = Counter()
        self._parts_done: Counter[str] = Counter()
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._first = 0
        self._mixed_parts = 0
        for entry in self._journal.entries():
            if entry.answer is not None:
                check_answer(asked, entry.query, entry.answer)
            self._take(entry)
        self.done = sum(self._is_finished(name) for name in self._share)

    def revision(self, name: str) -> int:
        """Return how often the person said something about a query, also by taking it back."""
        return self._revisions[name]

    @property
    def last(self) -> str | None:
        """The query that was answered last and not taken back since."""
        return next(reversed(self.said), None)

    @property
    def pace(self) -> float | None:
        """Seconds that an answer took of late; None before the first."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else None

    @property
    def answered(self) -> int:
        """Questions answered: windows, and parts of mixed ones."""
        return len(self.said)

    @property
    def questions(self) -> int:
        """Questions that the share has come to: its windows, and the parts of mixed ones."""
        return max(self.total + self._mixed_parts, len(self.said))

    def shares(self, name: str) -> bool:
        """Whether a query, or the one that this is a part of, is in the person's share."""
        return name.partition(".")[0] in self._position

    def may_answer(self, name: str) -> bool:
        """Whether the person is asked this: a query of the share, or a part of a mixed one."""
        whole, _, part = name.partition(".")
        mine = whole in self._position and (not part or self.said.get(whole) == MIXED)
        return mine or self._may_answer_all

    def may_take_back(self, name: str) -> bool:
        """Whether this can be taken back now; of a share, only what was answered last."""
        return name in self.said and (self._may_answer_all or name == self.last)

    def put(self, name: str, answer: Answer | None, seconds: float) -> None:
        """Write an answer to the journal, or take one back; it counts once it is on disk.

        Raises:
            Stopped: No more answers are taken.
            LabelStoreError: It cannot be written, and nothing has changed.
        """
        whole = name.partition(".")[0]
        entry = Entry(name, answer, seconds)
        with self.lock:
            self._journal.append([entry])
            before = self._is_finished(whole)
            self._take(entry)
            if whole in self._position:
                self.done += self._is_finished(whole) - before
                self._first = min(self._first, self._position[whole])

    def ahead(self, count: int) -> list[Query]:
        """Return the next questions at most, the one to ask now first."""
        with self.lock:
            while self._first < self.total and self._is_finished(self._share[self._first]):
                self._first += 1
            found: list[Query] = []
            for query in self._open():
                found.append(query)
                if len(found) == count:
                    break
            return found

    def _open(self) -> Iterator[Query]:
        for position in range(self._first, self.total):
            query = self._asked.by_id[self._share[position]]
            if query.id not in self.said:
                yield query
            elif not self._is_finished(query.id):
                yield from (part for part in self._asked.parts(query) if part.id not in self.said)

    def _take(self, entry: Entry) -> None:
        self._revisions[entry.query] += 1
        whole, _, part = entry.query.partition(".")
        before = self.said.pop(entry.query, None)
        had = before is not None
        if not part and MIXED in (before, entry.answer):
            parts = len(self._asked.parts(self._asked.by_id[whole]))
            self._mixed_parts += parts * ((entry.answer == MIXED) - (before == MIXED))
        if entry.answer is not None:
            # Put at the end again: what was said last is taken back first.
            self.said[entry.query] = entry.answer
            self._seconds.append(min(entry.seconds, LONGEST_LOOK))
        if part:
            self._parts_done[whole] += (entry.answer is not None) - had

    def _is_finished(self, name: str) -> bool:
        if name not in self.said:
            return False
        if self.said[name] != MIXED:
            return True
        return self._parts_done[name] == len(self._asked.parts(self._asked.by_id[name]))

"""All the people who answer a round, around one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from alseg.annotate.desk import Desk
from alseg.annotate.keys import COMMAND_KEYS, class_keys
from alseg.annotate.pictures import crop_box
from alseg.annotate.shares import Shares
from alseg.config.answer_keys import ANSWER_KEYS, NOT_CHARGED, OTHERS, VOID
from alseg.config.budget import Budget
from alseg.errors import BudgetError, LabelStoreError
from alseg.queries.answers import REVIEW, Answer, check_answer, people
from alseg.queries.answers_folder import AnswersFolder, Stopped
from alseg.queries.asked import AskedRound, Query
from alseg.queries.asked_files import asked_rounds, open_round
from alseg.queries.masks import is_mask
from alseg.queries.settling import Settled, settle

AHEAD = 8
"""Questions that a page gets in advance, so that it can fetch their pictures."""


class Stale(LabelStoreError):
    """An answer to a query whose present state its sender has not seen."""


class NotKept(LabelStoreError):
    """An answer that the disk does not take."""


class Closed(LabelStoreError):
    """An answer to a round whose labels are written."""


class Table:
    """The state of a round while people answer it.

    Attributes:
        asked: The round.
        shares: Who is asked what.
        desks: The answers by person, also of people without a share and of the review.
    """

    def __init__(
        self, asked: AskedRound, shares: Shares, is_closed: Callable[[], bool] = lambda: False
    ) -> None:
        """Read all answers.

        Args:
            asked: The round.
            shares: Who is asked what.
            is_closed: Whether the labels of the round are written.

        Raises:
            LabelStoreError: A journal is damaged.
        """
        self.asked = asked
        self.shares = shares
        self._folder = AnswersFolder(asked.folder)
        names = dict.fromkeys((*shares.people, *people(asked), REVIEW))
        self.desks = {
            name: Desk(asked, name, shares.queries.get(name), self._folder) for name in names
        }
        self._is_closed = is_closed
        self._clicks = _clicks_of_budget(asked)
        self._spent_before = 0 if self._clicks is None else _clicks_before(asked)
        self._image_numbers = {name: number for number, name in enumerate(asked.images)}

    def round(self) -> dict[str, Any]:
        """Return what stays as it is for everybody."""
        asked = self.asked
        return {
            "number": asked.number,
            "classes": list(asked.classes),
            "colors": [list(color) for color in asked.colors],
            "keys": class_keys(len(asked.classes)),
            "answers": [asdict(answer) for answer in ANSWER_KEYS],
            "commandKeys": COMMAND_KEYS,
            "split": asked.split,
            "queries": len(asked.queries),
            "people": [
                {"name": name, "done": self.desks[name].done, "total": self.desks[name].total}
                for name in self.shares.people
            ],
        }

    def state(self, person: str) -> dict[str, Any]:
        """Return what a person's page shows.

        Whoever has answered all of a share is asked the parts of windows in it that count as mixed
        although this person did not say so, which a correction or an import may leave open.

        Raises:
            LabelStoreError: Nobody has this name.
        """
        desk = self.sharing(person)
        # Without the lock of this desk, as it takes those of all.
        clicks = None if self._clicks is None else self._spent_before + self._clicks_so_far()
        with desk.lock:
            ahead = [self.describe(query, desk) for query in desk.ahead(AHEAD)]
            last = desk.last
            state: dict[str, Any] = {
                "person": person,
                "ahead": ahead,
                "done": desk.done,
                "total": desk.total,
                "left": desk.questions - desk.answered,
                "progress": {"unit": "answers", "answered": desk.answered, "asked": desk.questions}
                if clicks is None
                else {"unit": "clicks", "answered": clicks, "asked": self._clicks},
                "pace": desk.pace,
                "last": None
                if last is None
                else {"id": last, "revision": desk.revision(last), "answer": desk.said[last]},
            }
        if ahead:
            return {**state, "others": 0, "disputed": 0}
        # Without the lock: settling takes those of all desks, and so may another person's page now.
        settled = self.settle()
        parts = [name for name in settled.open_parts if desk.shares(name)]
        state["ahead"] = [self.describe(self.asked.find(name), desk) for name in parts[:AHEAD]]
        state["others"] = 0 if parts else self.open_queries() or len(settled.missing)
        state["disputed"] = 0 if parts or state["others"] else len(settled.disputed)
        return state

    def answer(self, person: str, name: str, revision: int, answer: object, seconds: float) -> None:
        """Take an answer, or None that takes one back; it is on disk when the call returns.

        Args:
            person: Who answers; ``review`` corrects.
            name: The query or the part of one.
            revision: The revision of the query that was seen.
            answer: A class number, a word of ``OTHERS`` or None.
            seconds: How long the query was looked at.

        Raises:
            Stale: The query has another revision by now.
            Closed: The labels of the round are written.
            NotKept: It cannot be written.
            Stopped: The table is closed.
            LabelStoreError: The answer is not allowed.
        """
        desk = self.desks[REVIEW] if person == REVIEW else self.sharing(person)
        check_answer(self.asked, name, VOID if answer is None else answer)
        # First: of a run that was moved, it cannot be seen whether its labels are written.
        with self._keeping():
            self._folder.check()
        if self._is_closed():
            raise Closed(
                f"Round {self.asked.number} is closed: its labels are written, and no answer "
                "changes them any more."
            )
        is_open_part = not desk.may_answer(name) and name in self.settle().open_parts
        with desk.lock:
            if desk.revision(name) != revision:
                raise Stale(f"{name} was answered elsewhere in the meantime.")
            if answer is None and not desk.may_take_back(name):
                raise Stale(f"{name} is not what was answered last.")
            if answer is not None and not (
                desk.may_answer(name) or (is_open_part and desk.shares(name))
            ):
                raise Stale(f"{name} is not asked of {person}, or not now.")
            assert answer is None or isinstance(answer, int | str)
            with self._keeping():
                desk.put(name, answer, seconds)

    def close(self) -> None:
        """Take no more answers, and wait for those that are being written."""
        self._folder.end()

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        try:
            yield
        except Stopped:
            raise
        except LabelStoreError as error:
            raise NotKept(str(error)) from error

    def describe(self, query: Query, desk: Desk) -> dict[str, Any]:
        """Return what a page needs to ask a question; the guess is not part of it."""
        whole = self.asked.by_id[query.id.partition(".")[0]]
        image = self.asked.images[query.image]
        return {
            "id": query.id,
            "revision": desk.revision(query.id),
            "image": self._image_numbers[query.image],
            "name": query.image,
            "size": [image.height, image.width],
            "row": query.row,
            "column": query.column,
            "box": [query.top, query.left, query.bottom, query.right],
            "whole": [whole.top, whole.left, whole.bottom, whole.right],
            "crop": whole.id,
            "cropBox": list(crop_box(whole, image)),
            "part": int(query.id.partition(".")[2] or 0),
            "parts": len(self.asked.parts(whole)),
        }

    def sharing(self, person: str) -> Desk:
        """Return the desk of somebody who has a share.

        Raises:
            LabelStoreError: Nobody with a share has this name.
        """
        if person not in self.shares.queries:
            raise LabelStoreError(
                f"Nobody is called {person!r:.60} here; the annotators are "
                f"{', '.join(self.shares.people)}."
            )
        return self.desks[person]

    def open_queries(self) -> int:
        """Return how many queries people still have to answer, all of them together."""
        return sum(self.desks[name].total - self.desks[name].done for name in self.shares.people)

    def said(self) -> dict[str, dict[str, Answer]]:
        """Return a copy of what everybody said, by person and query."""
        found = {}
        for name, desk in self.desks.items():
            with desk.lock:
                found[name] = dict(desk.said)
        return found

    def _clicks_so_far(self) -> int:
        """Return the answers of this round that are charged; one of several people counts once."""
        return len(
            {
                name
                for answers in self.said().values()
                for name, answer in answers.items()
                if answer not in NOT_CHARGED
            }
        )

    def settle(self) -> Settled:
        """Return what all answers come to."""
        return settle(self.asked, self.said())


def _clicks_of_budget(asked: AskedRound) -> int | None:
    """Return the clicks that the run may ask for in all; None if its budget is in other units."""
    budget = asked.settings.get("budget")
    if not isinstance(budget, str | int | float):
        return None
    try:
        return Budget.parse(budget).clicks
    except BudgetError:
        return None


def _clicks_before(asked: AskedRound) -> int:
    """Return the clicks that earlier rounds of the run took."""
    run = asked.folder.parent.parent
    earlier = [number for number in asked_rounds(run) if number < asked.number]
    return sum(sum(settle(open_round(run, number)).clicks.values()) for number in earlier)


def in_words(asked: AskedRound, answer: Answer) -> str:
    """Return an answer as people call it."""
    if is_mask(answer):
        return "a mask"
    return OTHERS[answer].said if isinstance(answer, str) else asked.classes[answer]

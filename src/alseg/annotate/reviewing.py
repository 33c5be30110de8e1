"""The review: what everybody answered, where they differ, and what is corrected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from alseg.annotate.agreement import disagreements, measure_agreement
from alseg.annotate.requests import BadRequest
from alseg.annotate.table import Table
from alseg.config.answer_keys import MIXED
from alseg.queries.answers import REVIEW, Answer
from alseg.queries.asked import Query
from alseg.queries.settling import majority, settle

PAGE = 50
"""Queries that a page of the review lists."""

SHOWN = ("disagreements", "open", "all", "answer")

Said = Mapping[str, Mapping[str, Answer]]


def review_page(table: Table, show: str, answer: str, start: int) -> dict[str, Any]:
    """Return a page of the queries that were answered, and how far people agree.

    Args:
        table: The round.
        show: ``disagreements``, ``open`` for parts of mixed windows without an answer, ``all`` with
            the disagreements first, or ``answer``.
        answer: The answer to list, a class number or a word.
        start: How many to leave out at the beginning.

    Raises:
        BadRequest: There is no such list.
    """
    if show not in SHOWN:
        raise BadRequest(f"Lists are {', '.join(SHOWN)}, not {show!r:.40}.")
    said = table.said()
    people = {name: answers for name, answers in said.items() if name != REVIEW}
    differing = disagreements(table.asked, people)
    open_ones = [name for name in differing if name not in said[REVIEW]]
    if show == "disagreements":
        names = _first_with(differing, open_ones)
    elif show == "open":
        names = settle(table.asked, said).open_parts
    else:
        names = list(_answered(table, said))
        if show == "answer":
            names = [name for name in names if str(counted(said, name)[0]) == answer]
        else:
            names = _first_with(names, differing)
    agreement = measure_agreement(table.shares, people)
    return {
        "total": len(names),
        "start": start,
        "items": [review_item(table, name, said) for name in names[start : start + PAGE]],
        "page": PAGE,
        "open": len(open_ones),
        "agreement": {
            "measure": agreement.measure,
            "kappa": agreement.kappa,
            "equal": agreement.equal,
            "asked": agreement.asked,
            "answered": agreement.answered,
        },
    }


def _first_with(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Sort those windows first of which one name is wanted; parts stay below their window."""
    windows = {name.partition(".")[0] for name in wanted}
    # Stable: within both, the order of the round stays.
    return sorted(names, key=lambda name: name.partition(".")[0] not in windows)


def review_item(table: Table, name: str, said: Said | None = None) -> dict[str, Any]:
    """Return a query as the review lists it."""
    said = {p: d.said for p, d in table.desks.items()} if said is None else said
    votes = {
        person: answers[name]
        for person, answers in said.items()
        if person != REVIEW and name in answers
    }
    answer, tied = counted(said, name)
    return {
        **table.describe(table.asked.find(name), table.desks[REVIEW]),
        "votes": [{"person": person, "answer": vote} for person, vote in votes.items()],
        "review": said.get(REVIEW, {}).get(name),
        "answer": answer,
        "tied": tied,
        "differ": len(set(votes.values())) > 1,
    }


def counted(said: Said, name: str) -> tuple[Answer | None, bool]:
    """Return what a query or part is answered with so far, and whether there is a tie."""
    correction = said.get(REVIEW, {}).get(name)
    if correction is not None:
        return correction, False
    return majority([answers[name] for answers in said.values() if name in answers])


def _answered(table: Table, said: Said) -> Iterator[str]:
    """Yield what somebody answered, and the parts of what counts as mixed."""
    names = set().union(*said.values())
    for query in table.asked.queries:
        if query.id in names:
            yield query.id
            yield from (part.id for part in parts_of_mixed(table, said, query))


def parts_of_mixed(table: Table, said: Said, query: Query) -> tuple[Query, ...]:
    """Return the parts that have to be answered, as the window counts as mixed."""
    return table.asked.parts(query) if counted(said, query.id)[0] == MIXED else ()

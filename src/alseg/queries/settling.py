"""What the answers of all people to a round come to: an answer for every query, and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alseg.config.answer_keys import MIXED, NOT_CHARGED
from alseg.data.label_space import IGNORE
from alseg.queries.answers import REVIEW, Answer, latest
from alseg.queries.asked import AskedRound, Query
from alseg.queries.masks import is_mask, read_mask


@dataclass
class Settled:
    """What the answers of all people come to.

    A query of the round is in one of the four: answered, skipped, missing or disputed. A region
    that is mixed is answered once all of its parts are.

    Attributes:
        answers: The answer to each query that is answered, and to the parts of mixed ones.
        skipped: What was answered to queries that nobody could tell; they go back to the pool.
        missing: Queries without an answer, also for a part.
        open_parts: Parts without an answer of regions that are mixed; these regions are missing.
        disputed: Queries that as many people answered one way as another.
        clicks: Answers given for the queries that are answered, one a query and one a part.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    skipped: dict[str, Answer] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    open_parts: list[str] = field(default_factory=list)
    disputed: list[str] = field(default_factory=list)
    clicks: Counter[str] = field(default_factory=Counter)


def settle(asked: AskedRound, said: Mapping[str, Mapping[str, Answer]] | None = None) -> Settled:
    """Find the answer to every query: a correction, or else what most people said.

    An answer that is not charged counts only where nobody gave one that is.

    Args:
        asked: The round.
        said: By person and query, what counts; None reads it.
    """
    said = latest(asked) if said is None else said
    votes: dict[str, list[Answer]] = {}
    for person, answers in said.items():
        for name, answer in answers.items():
            if person != REVIEW and name not in said.get(REVIEW, {}):
                votes.setdefault(name, []).append(answer)
    for name, answer in said.get(REVIEW, {}).items():
        votes[name] = [answer]
    settled = Settled()
    for query in asked.queries:
        _settle_query(asked, query, votes, settled)
    return settled


def _settle_query(
    asked: AskedRound, query: Query, votes: Mapping[str, Sequence[Answer]], settled: Settled
) -> None:
    answer, tied = majority(votes.get(query.id, ()))
    if tied:
        settled.disputed.append(query.id)
        return
    if answer is None:
        settled.missing.append(query.id)
        return
    if answer in NOT_CHARGED:
        settled.skipped[query.id] = answer
        return
    found: dict[str, Answer] = {query.id: answer}
    if answer == MIXED:
        open_parts, is_disputed = [], False
        for part in asked.parts(query):
            mine, tied = majority(votes.get(part.id, ()))
            if mine is not None:
                found[part.id] = mine
            elif tied:
                is_disputed = True
            else:
                open_parts.append(part.id)
        if open_parts or is_disputed:
            settled.open_parts += open_parts
            (settled.missing if open_parts else settled.disputed).append(query.id)
            return
    settled.answers.update(found)
    settled.clicks[query.image] += len(found)


def majority(votes: Sequence[Answer]) -> tuple[Answer | None, bool]:
    """Return what most say, of what is charged if anything is; and whether there is a tie."""
    charged = [vote for vote in votes if vote not in NOT_CHARGED]
    if not votes:
        return None, False
    (best, count), *others = Counter(charged or votes).most_common(2)
    # None of those that are not charged says anything against another one.
    tied = bool(charged and others) and others[0][1] == count
    return (None, True) if tied else (best, False)


def paint(
    asked: AskedRound, answers: Mapping[str, Answer], image_id: str, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the labels that answers give an image, H×W; 255 is void or not answered.

    Where regions overlap, the query that was asked first counts.

    Raises:
        LabelStoreError: A mask that is an answer cannot be read.
    """
    label = np.full(shape, IGNORE, dtype=np.uint8)
    answered = [query for query in asked.by_image[image_id] if query.id in answers]
    rows = np.array([query.row for query in answered], dtype=np.int64)
    columns = np.array([query.column for query in answered], dtype=np.int64)
    owner = asked.region.owners(shape, rows, columns)
    for place, query in enumerate(answered):
        parts = asked.parts(query) if answers[query.id] == MIXED else ()
        for part in parts or (query,):
            answer = answers.get(part.id)
            within = slice(part.top, part.bottom), slice(part.left, part.right)
            own = owner[within] == place
            if isinstance(answer, str) and is_mask(answer):
                label[within][own] = read_mask(asked, answer, shape)[within][own]
            else:
                label[within][own] = answer if isinstance(answer, int) else IGNORE
    return label

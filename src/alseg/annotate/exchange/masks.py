"""Answers that are painted instead of said: what the pixels of a window hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alseg.config.answer_keys import MIXED, VOID
from alseg.queries.answers import Answer
from alseg.queries.asked import AskedRound, Query

NOTHING = -1
"""What a pixel holds that nothing is said about."""


def answers_in_mask(
    asked: AskedRound, image_id: str, codes: NDArray[np.int16], answers: dict[str, Answer]
) -> set[str]:
    """Add the answers that a mask gives to the queries of an image that have none.

    A window that one class covers, every pixel of it, has that class. One with several classes is
    mixed, covered or not, and its parts are read in the same way. A window with one class that
    leaves pixels out has no answer, and neither has one without any.

    Args:
        asked: The round.
        image_id: The image.
        codes: What each pixel is, H×W: the number of a class, the number of classes for void, or
            ``NOTHING``.
        answers: The answers that are known, by query; those of the mask are added.

    Returns:
        The queries whose windows one class covers in part, which have no answer.
    """
    in_part = set()
    queries = asked.by_image[image_id]
    covered = np.zeros(codes.shape, dtype=np.uint16)
    for query in queries:
        covered[_place(query)] += 1
    for query in queries:
        if query.id not in answers:
            window = codes[_place(query)]
            # Where windows overlap, a label may be the answer to the other one.
            own = window[covered[_place(query)] == 1]
            if (own if own.size else window).max() == NOTHING:
                continue
            answer = _held(window, len(asked.classes))
            if answer is None:
                in_part.add(query.id)
                continue
            answers[query.id] = answer
        if answers[query.id] == MIXED:
            for part in asked.parts(query):
                held = _held(codes[_place(part)], len(asked.classes))
                if held is not None:
                    answers.setdefault(part.id, held)
    return in_part


def _place(query: Query) -> tuple[slice, slice]:
    return slice(query.top, query.bottom), slice(query.left, query.right)


def _held(window: NDArray[np.int16], classes: int) -> Answer | None:
    found = np.unique(window[window != NOTHING]).tolist()
    if len(found) > 1:
        return MIXED
    if not found or (window == NOTHING).any():
        return None
    return VOID if found[0] == classes else int(found[0])

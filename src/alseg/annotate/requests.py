"""What a browser sends, checked before anything is done with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

MOST_SECONDS = 86_400.0
"""Seconds that are believed of a page; one that was left open over night sends no more."""


LARGEST_NUMBER = 1e9
"""Numbers of a page are below this; whoever sends larger ones is no page."""


class BadRequest(ValueError):
    """A request that the page does not send."""


@dataclass(frozen=True)
class AnswerSent:
    """An answer as a page sends it.

    Attributes:
        person: Who answers.
        query: The query or the part of one.
        revision: The revision of the query that the page saw.
        answer: What the round takes as an answer is checked later; None takes it back.
        seconds: How long the query was looked at.
    """

    person: str
    query: str
    revision: int
    answer: object
    seconds: float


def read_answer(body: bytes) -> AnswerSent:
    """Return the answer in the body of a request.

    Raises:
        BadRequest: It is none.
    """
    try:
        content = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest("This is not JSON.") from error
    if not isinstance(content, dict) or set(content) != set(AnswerSent.__annotations__):
        raise BadRequest(f"An answer has {', '.join(AnswerSent.__annotations__)}.")
    sent = AnswerSent(**content)
    if not isinstance(sent.person, str) or not isinstance(sent.query, str):
        raise BadRequest("Person and query are names.")
    if not _is_number(sent.revision) or sent.revision != int(sent.revision):
        raise BadRequest("A revision is a whole number.")
    if not _is_number(sent.seconds) or not 0 <= sent.seconds <= MOST_SECONDS:
        raise BadRequest("The seconds are those of a day at most.")
    return sent


def whole_number(text: str) -> int:
    """Return the number that a part of a URL stands for.

    Raises:
        BadRequest: It is not digits, up to nine of them.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise BadRequest(f"{text!r:.40} is no number.")
    return int(text)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Compared, as no function of math takes an integer of hundreds of digits.
    return -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

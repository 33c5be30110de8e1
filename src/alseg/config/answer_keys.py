"""What people can answer besides the classes: the one table of the page, the review and exchange.

It is stored here because data sets refuse classes of these names, and know nothing of queries.

Another answer is another line of it. Without a part of its own in ``alseg.queries.settling``, one
that is charged becomes void, and one that is not leaves the window unlabelled.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerKey:
    """An answer besides the classes.

    Attributes:
        word: What files hold, and the label in a labelling tool; no class can be called so.
        key: The key on the page, as browsers call it, or a small letter; no class has it then.
        label: The word on the page's button.
        help: What the page says that it means.
        said: How a query answered this way is described, as in "is skipped".
        meaning: What a class with this name would stand for.
        color: The colour of the label in a labelling tool, ``#rrggbb``.
        is_charged: Whether it counts: otherwise it gives way to any answer that does, the window
            costs nothing, and a picture that cannot be shown may be answered so.
    """

    word: str
    key: str
    label: str
    help: str
    said: str
    meaning: str
    color: str
    is_charged: bool = True


MIXED, VOID, SKIP = "mixed", "void", "skip"

ANSWER_KEYS = (
    AnswerKey(
        MIXED,
        key="Space",
        label="Mixed",
        help="Several classes lie in the window",
        said="mixed",
        meaning="a region of several classes when people answer",
        color="#ff8c00",
    ),
    AnswerKey(
        VOID,
        key="0",
        label="Void",
        help="None of the classes",
        said="void",
        meaning="pixels that belong to no class and are never learnt",
        color="#808080",
    ),
    AnswerKey(
        SKIP,
        key="ArrowRight",
        label="Skip",
        help="Cannot tell; the window is not charged",
        said="skipped",
        meaning="a region that a person does not answer",
        color="#b0c4de",
        is_charged=False,
    ),
)
"""The answers in the order in which the page and the tools list them."""

MASK = "mask"
"""What an answer begins with that is a mask of the pixels, for regions that are painted."""

OTHERS = {answer.word: answer for answer in ANSWER_KEYS}
"""The same by word."""

NOT_CHARGED = frozenset(answer.word for answer in ANSWER_KEYS if not answer.is_charged)
"""The words of the answers that are not charged."""

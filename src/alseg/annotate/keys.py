"""The keys of the classes and of what the page does, on keyboards of any language.

Those of the other answers are in ``alseg.config.answer_keys``.
"""

from __future__ import annotations

from string import ascii_lowercase

from alseg.config.answer_keys import ANSWER_KEYS

COMMAND_KEYS = {
    "undo": "Backspace",
    "guess": "ArrowUp",
    "brighter": "ArrowDown",
    "closer": "PageUp",
    "farther": "PageDown",
}
"""The keys that answer nothing: every keyboard has them, and none is ever that of an answer."""

CLASS_KEYS = tuple(
    key
    for key in (
        *"123456789",
        *ascii_lowercase,
        *(f"Shift+{letter}" for letter in ascii_lowercase),
    )
    if key not in {answer.key for answer in ANSWER_KEYS}
)
"""The keys of the classes in their order. The page takes a digit by its place on the keyboard, as
French keyboards have digits with shift alone, and a letter by what it writes, or by its place where
it writes none of a to z, as on Greek keyboards."""


def class_keys(count: int) -> list[str]:
    """Return the key of each of ``count`` classes; those past the keys have none, and ''."""
    return [CLASS_KEYS[number] if number < len(CLASS_KEYS) else "" for number in range(count)]

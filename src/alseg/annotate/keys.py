"""Which key gives which answer, on keyboards of any language."""

from __future__ import annotations

from string import ascii_lowercase

CLASS_KEYS = (
    *"123456789",
    *ascii_lowercase,
    *(f"Shift+{letter}" for letter in ascii_lowercase),
)
"""The keys of the classes in their order. The page takes a digit by its place on the keyboard, as
French keyboards have digits with shift alone, and a letter by what it writes, or by its place where
it writes none of a to z, as on Greek keyboards."""

OTHER_KEYS = {
    "mixed": "Space",
    "void": "0",
    "skip": "ArrowRight",
    "undo": "Backspace",
    "guess": "ArrowUp",
    "brighter": "ArrowDown",
    "closer": "PageUp",
    "farther": "PageDown",
}
"""The other keys: every keyboard has them, and none is ever that of a class."""


def class_keys(count: int) -> list[str]:
    """Return the key of each of ``count`` classes; those past the keys have none, and ''."""
    return [CLASS_KEYS[number] if number < len(CLASS_KEYS) else "" for number in range(count)]

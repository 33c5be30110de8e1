"""The values of JSON that somebody brings, checked as they are taken out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alseg.errors import ExchangeError


class Node:
    """An object of JSON, and what it is called in an error.

    Attributes:
        where: What it is called.
    """

    def __init__(self, value: object, where: str) -> None:
        """Take a value.

        Raises:
            ExchangeError: It is no object.
        """
        self.where = where
        if not isinstance(value, dict):
            raise self.wrong(f"is {_shown(value)}, an object was expected")
        self._value: dict[str, Any] = value

    def wrong(self, reason: str) -> ExchangeError:
        """Return the error of an object that is not as tools write it."""
        return ExchangeError(f"{self.where} {reason}. Export the file from the tool again.")

    def raw(self, key: str) -> Any:
        """Return what is there, or None."""
        return self._value.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; an absent one or null is the default."""
        value = self.raw(key)
        value = default if value is None else value
        if not isinstance(value, str):
            raise self.wrong(f"has {_shown(value)} as {key!r}, a text was expected")
        return value

    def number(self, key: str) -> float:
        """Return a number."""
        return self._as_number(self.raw(key), key)

    def numbers(self, key: str, count: int) -> list[float]:
        """Return a list of so many numbers."""
        values = self.raw(key)
        if not isinstance(values, list) or len(values) != count:
            raise self.wrong(f"has {_shown(values)} as {key!r}, {count} numbers were expected")
        return [self._as_number(value, key) for value in values]

    def name(self, key: str) -> int | str:
        """Return what names another object: a whole number or a text."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.wrong(f"has {_shown(value)} as {key!r}, a number was expected")
        return value

    def node(self, key: str) -> Node:
        """Return an object inside."""
        return Node(self.raw(key), f"{self.where}, {key!r},")

    def nodes(self, key: str, kind: str) -> Iterator[Node]:
        """Yield the objects of a list inside; none where there is no list."""
        value = self.raw(key)
        return nodes([] if value is None else value, f"{self.where}, {kind}")

    def _as_number(self, value: object, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"has {_shown(value)} as {key!r}, a number was expected")
        try:
            return float(value)
        except OverflowError as error:
            raise self.wrong(f"has a number as {key!r} that is too large") from error


def nodes(value: object, where: str) -> Iterator[Node]:
    """Yield the objects of a list; they are called ``where`` and their number.

    Raises:
        ExchangeError: It is no list, or holds something else.
    """
    if not isinstance(value, list):
        raise ExchangeError(
            f"{where}: a list was expected, got {_shown(value)}. Export the file from the tool "
            "again."
        )
    for number, entry in enumerate(value, start=1):
        yield Node(entry, f"{where} {number}")


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'object'} of {len(value)}"
    return f"{value!r:.40}" if isinstance(value, str | bool | float) else "a number"

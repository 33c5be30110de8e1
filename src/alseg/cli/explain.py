"""What is said of an option, key or value that cannot be taken: one line, and what to do."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from alseg.settings import Size


def did_you_mean(word: str, known: Iterable[str], quote: str = "") -> str:
    """Return a question that names the known word nearest to one, or nothing if none is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f" Did you mean {quote}{near[0]}{quote}?" if near else ""


def choices(kind: Any) -> list[str]:  # noqa: ANN401
    """Return the words that a type allows; none if it is not made of words."""
    parts = (kind, *get_args(kind))
    return [word for part in parts if get_origin(part) is Literal for word in get_args(part)]


def kind_in_words(kind: Any) -> str:  # noqa: ANN401
    """Say what values a type has."""
    names = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        type(None): "null",
        Size: "a size such as 180x240",
        list[int]: "a list of whole numbers such as [0, 100]",
        dict[str, Any]: "a mapping such as {radius: 2}",
    }
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind in names:
        return names[kind]
    return " or ".join(kind_in_words(part) for part in get_args(kind))


def explain(
    error: argparse.ArgumentError, types: Mapping[str, Any], label: Callable[[str], str]
) -> str:
    """Return one line for a parser's error; its own account of a wrong value runs over several.

    Args:
        error: What the parser raised.
        types: The type of every value by name.
        label: How a name is written where the value was given.
    """
    text = str(error)
    name = re.search(r'Parser key "(\w+)"', text)
    value = re.search(r"(?:Got|Given) value: (.*)", text)
    if name and value and name[1] in types:
        kind = types[name[1]]
        hint = did_you_mean(value[1], choices(kind))
        return f"{label(name[1])}: expected {kind_in_words(kind)}, got {value[1]!r}.{hint}"
    unexpected = re.match(r"unrecognized arguments: (\S+)", text, re.IGNORECASE)
    if unexpected:
        return f"unexpected argument {unexpected[1]!r}. --help lists what can be given."
    return f"{text.splitlines()[0].rstrip('.')}. --help lists what can be given."

"""What is said of an option, key or value that cannot be taken: one line, and what to do."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from alseg.config.size import Size
from alseg.errors import ConfigError, did_you_mean
from alseg_strategies import UnknownStrategy, available


def check_strategy(name: str) -> None:
    """Check that a strategy exists, without importing any.

    Raises:
        UnknownStrategy: It does not; the message has two lines.
    """
    known = available()
    if name not in known:
        hint = did_you_mean(name, known)
        raise UnknownStrategy(
            f"there is no strategy {name!r}.{hint}\nAvailable: {', '.join(known)}"
        )


def choices(kind: Any) -> list[str]:
    """Return the words that a type allows; none if it is not made of words."""
    parts = (kind, *get_args(kind))
    return [word for part in parts if get_origin(part) is Literal for word in get_args(part)]


def check_word(name: str, value: Any, kind: Any, label: Callable[[str], str]) -> None:
    """Check that a value is one of the words that its type allows, if the type is made of words.

    Raises:
        ConfigError: It is another; ``label`` says how ``name`` is written where it was given.
    """
    words = choices(kind)
    if words and value is not None and value not in words:
        hint = did_you_mean(value, words, quote="")
        raise ConfigError(f"{label(name)}: expected {kind_in_words(kind)}, got {value!r}.{hint}")


def check_here(value: Any, label: str) -> None:
    """Check that what is to be written has a place on this machine.

    Raises:
        ConfigError: It is a URL.
    """
    if isinstance(value, str) and "://" in value:
        raise ConfigError(
            f"{label} is {value!r}, a URL, and alseg writes to folders of this machine alone. "
            "Name a folder, and copy it when it is finished."
        )


def kind_in_words(kind: Any) -> str:
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
    error: argparse.ArgumentError,
    types: Mapping[str, Any],
    label: Callable[[str], str],
    shown: Mapping[str, str] | None = None,
    example: str | None = None,
) -> str:
    """Return one line for a parser's error; its own account of a wrong value runs over several.

    Args:
        error: What the parser raised.
        types: The type of every value by name.
        label: How a name is written where the value was given.
        shown: How the help writes the arguments that may be missing, by name.
        example: A command that has all that it needs.
    """
    text = str(error)
    name = re.search(r'Parser key "(\w+)"', text)
    value = re.search(r"(?:Got|Given) value: (.*)", text)
    if name and value and name[1] in types:
        return f"{label(name[1])}: expected {kind_in_words(types[name[1]])}, got {value[1]!r}."
    missing = re.match(r"the following arguments are required: (.*)", text)
    if missing:
        named = ", ".join((shown or {}).get(name, name) for name in missing[1].split(", "))
        more = f" such as in `{example}`" if example else ""
        return f"missing: {named}{more}. --help lists what can be given."
    unexpected = re.match(r"unrecognized arguments: (\S+)", text, re.IGNORECASE)
    if unexpected:
        return f"unexpected argument {unexpected[1]!r}. --help lists what can be given."
    return f"{text.splitlines()[0].rstrip('.')}. --help lists what can be given."

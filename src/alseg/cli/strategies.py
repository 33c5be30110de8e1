"""``alseg strategies``: what labels can be asked for by."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence

from alseg_strategies import available, options


def run(argv: Sequence[str]) -> int:
    """List the strategies, or describe one of them with its options.

    Raises:
        UnknownStrategy: No strategy has that name.
    """
    parser = argparse.ArgumentParser(
        prog="alseg strategies",
        description="List what labels can be asked for by.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="show one, with its options")
    name = parser.parse_args(argv).name
    known = available()
    if name is None:
        width = max(map(len, known), default=0)
        for known_name, description in known.items():
            print(f"{known_name:{width}}  {description}")
        print("\n`alseg strategies NAME` lists the options of one.")
        return 0

    from alseg.cli.explain import check_strategy

    check_strategy(name)
    defaults = options(name)
    print(f"{name}: {known[name]}")
    if not defaults:
        print("It has no options.")
        return 0
    print("\noptions, with their defaults")
    for option, default in defaults.items():
        print(f"  --strategy-options.{option} {_plain(default)}")
    return 0


def _plain(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "(has no default)"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)

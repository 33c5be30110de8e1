"""Who answers which queries of a round; dealt once and kept beside the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alseg.errors import ConfigError, LabelStoreError
from alseg.labels.files import replace_in_store
from alseg.queries.answers import IMPORT, NAME, REVIEW, people
from alseg.queries.asked import AskedRound
from alseg.storage.sealed_json import encode_json, load_json

FILE = "shares.json"
RESERVED = (REVIEW, IMPORT)
"""Names that nobody who answers can have: their files are kept for something else."""

FORMAT = 1
_REMEDY = "Remove it and name the annotators again; the answers stay."


@dataclass(frozen=True)
class Shares:
    """The queries that each person is asked.

    Attributes:
        queries: By person, names of queries in the order of the round.
        overlap: Names of the queries that everybody is asked.
    """

    queries: Mapping[str, tuple[str, ...]]
    overlap: tuple[str, ...]

    @property
    def people(self) -> tuple[str, ...]:
        """The names, in the order in which they were given."""
        return tuple(self.queries)


def names_of(annotators: str) -> tuple[str, ...]:
    """Return the people that ``3`` or ``anna,ben`` stands for.

    Raises:
        ConfigError: It is neither a number of people nor a list of usable names.
    """
    if annotators.strip().isdecimal() and 1 <= int(annotators) <= 99:
        return tuple(f"annotator-{number}" for number in range(1, int(annotators) + 1))
    names = tuple(name.strip() for name in annotators.split(","))
    for name in names:
        if not NAME.fullmatch(name) or name.isdecimal() or name.lower() in RESERVED:
            raise ConfigError(
                f"--annotators: {name!r} is no name that can be used. Give a number of people up "
                "to 99, or names between commas: letters, digits, - and _, and not "
                f"{' or '.join(map(repr, RESERVED))}."
            )
    # Some file systems take Anna.jsonl and anna.jsonl for one file.
    if len({name.lower() for name in names}) < len(names):
        raise ConfigError(f"--annotators: {annotators!r} names somebody twice.")
    return names


def deal(asked: AskedRound, names: Sequence[str], overlap: float = 0.0) -> Shares:
    """Deal the queries in turn, so that what matters most is answered first by everybody.

    Args:
        asked: The round.
        names: The people.
        overlap: Part of the queries that everybody is asked, spread evenly over the round.

    Raises:
        ConfigError: The overlap is not between 0 and 1, or there is nobody to share it with.
    """
    if not 0 <= overlap <= 1:
        raise ConfigError(f"--overlap is a part of the queries from 0 to 1, got {overlap}.")
    if overlap and len(names) == 1:
        raise ConfigError(
            f"--overlap {overlap} is for queries that everybody is asked, and {names[0]} alone "
            "answers. Name two people or more with --annotators, or leave --overlap out."
        )
    count = len(asked.queries)
    common = round(count * overlap)
    shared = {number * count // common for number in range(common)}
    queries: dict[str, list[str]] = {name: [] for name in names}
    turn = 0
    for position, query in enumerate(asked.queries):
        if position in shared:
            for mine in queries.values():
                mine.append(query.id)
        else:
            queries[names[turn % len(names)]].append(query.id)
            turn += 1
    return Shares(
        {name: tuple(mine) for name, mine in queries.items()},
        tuple(asked.queries[position].id for position in sorted(shared)),
    )


def open_shares(
    asked: AskedRound, annotators: str | None = None, overlap: float | None = None
) -> Shares:
    """Return the shares of a round; the first call deals and keeps them.

    Args:
        asked: The round.
        annotators: ``3`` or ``anna,ben``; None takes those of before, or one person.
        overlap: Part of the queries that everybody is asked; None takes that of before, or 0.

    Raises:
        ConfigError: The people or the overlap are not those of before, and somebody has answered.
        LabelStoreError: The file of the shares is damaged or cannot be written.
    """
    kept = read_shares(asked)
    if kept is None or not people(asked):
        if kept is not None and annotators is None and overlap is None:
            return kept
        names = names_of(annotators) if annotators is not None else _names_before(kept)
        shares = deal(asked, names, overlap or 0.0)
        _write(asked.answers / FILE, shares)
        return shares
    names = kept.people if annotators is None else names_of(annotators)
    part = len(kept.overlap) / len(asked.queries) if overlap is None else overlap
    if deal(asked, names, part) != kept:
        raise ConfigError(
            f"Round {asked.number} is dealt to {', '.join(kept.people)}, with "
            f"{len(kept.overlap):,} queries for everybody, and some are answered. Leave "
            "--annotators and --overlap out to continue; or remove "
            f"{asked.answers / FILE} to deal again (answers stay)."
        )
    return kept


def read_shares(asked: AskedRound) -> Shares | None:
    """Return the shares that were dealt; None if none were.

    Raises:
        LabelStoreError: Their file is damaged.
    """
    path = asked.answers / FILE
    if not path.is_file():
        return None
    content = load_json(path, _REMEDY, FORMAT)
    try:
        queries = {name: tuple(mine) for name, mine in content["queries"].items()}
        overlap = tuple(content["overlap"])
        known = all(name in asked.by_id for mine in (*queries.values(), overlap) for name in mine)
        if known and all(NAME.fullmatch(name) for name in queries):
            return Shares(queries, overlap)
    except (AttributeError, KeyError, TypeError):
        pass
    raise LabelStoreError(f"{path} does not fit the queries of the round. {_REMEDY}")


def _names_before(kept: Shares | None) -> tuple[str, ...]:
    return kept.people if kept is not None else names_of("1")


def _write(path: Path, shares: Shares) -> None:
    queries = {name: list(mine) for name, mine in shares.queries.items()}
    content = {"format": FORMAT, "queries": queries, "overlap": list(shares.overlap)}
    replace_in_store(path, encode_json(content))

"""The file of a matrix: which strategies and protocols are run with which budgets and seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from alseg.config.budget import Budget
from alseg.config.protocols import PROTOCOLS
from alseg.config.settings import all_settings
from alseg.config.variants import USUAL_PROTOCOL, Variant, details_of
from alseg.config.yaml_file import read_mapping
from alseg.errors import BudgetError, ConfigError, did_you_mean
from alseg_strategies import available

OF_A_BLOCK = ("strategies", "budgets", "protocols")
OF_A_MATRIX = ("base", "settings", "seeds", "may_differ", "blocks", *OF_A_BLOCK)

DECIDED = {entry.name: entry.in_matrix for entry in all_settings() if entry.in_matrix}
"""The settings that a matrix decides, and how they are given instead of for all runs."""

LISTED = 20
"""As many known keys as this are not listed any more."""


@dataclass(frozen=True)
class NamedVariant:
    """What is run once for every seed.

    Attributes:
        name: What tells it from the others, as part of the names of folders, such as ``ripu-1%``.
        settings: Its settings, on top of those of all runs.
    """

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """What a matrix file says.

    Attributes:
        path: The file.
        base: A file with settings of all runs; None if there is none.
        settings: Settings of all runs, on top of those.
        seeds: The seeds that every variant is run with.
        variants: The variants, each name once.
        may_differ: Settings in which runs of one seed may differ although all should share them.
    """

    path: Path
    base: Path | None
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    variants: tuple[NamedVariant, ...]
    may_differ: frozenset[str]


def read_matrix(path: str | Path) -> Matrix:
    """Read a matrix file; the values of settings are left to be checked by who runs them.

    Raises:
        ConfigError: It cannot be read, a key is unknown, or something is missing or given twice.
    """
    path = Path(path)
    content = read_mapping(path)
    _check_keys(content, OF_A_MATRIX, path)
    known = {entry.name for entry in all_settings()}
    settings = _mapping(content.get("settings", {}), f"{path}: settings")
    _check_keys(settings, known - set(DECIDED), f"{path}: settings", hints=known)
    may_differ = _list(content.get("may_differ", []), f"{path}: may_differ")
    _check_keys(may_differ, known, f"{path}: may_differ")
    variants = list(_once(_variants(content, path), path))
    if not variants:
        raise ConfigError(
            f"{path} names nothing to run. Give strategies and budgets, such as "
            "`strategies: [random, ripu]` and `budgets: [0.01]`, or protocols, such as "
            "`protocols: [source_only, fully_supervised]`."
        )
    base = content.get("base")
    if base is not None and not isinstance(base, str):
        raise ConfigError(f"{path}: base: expected the path of a file of settings, got {base!r}.")
    return Matrix(
        path=path,
        base=None if base is None else path.parent / base,
        settings=settings,
        seeds=_seeds(content, path),
        variants=tuple(variants),
        may_differ=frozenset(may_differ),
    )


def _variants(content: Mapping[str, Any], path: Path) -> Iterator[NamedVariant]:
    blocks = _list(content.get("blocks", []), f"{path}: blocks")
    here = {key: content[key] for key in OF_A_BLOCK if key in content}
    if here and blocks:
        raise ConfigError(
            f"{path}: {', '.join(here)} stand beside blocks. Make them a block of their own: a "
            "block is run as it is, and takes nothing from the others."
        )
    if not blocks:
        yield from _variants_of(here, str(path))
    for number, block in enumerate(blocks, start=1):
        where = f"{path}: block {number}"
        block = _mapping(block, where)
        _check_keys(block, OF_A_BLOCK, where)
        yield from _variants_of(block, where)


def _variants_of(block: Mapping[str, Any], where: str) -> Iterator[NamedVariant]:
    """Yield the variants of a block: protocols that ask for no label, then strategies × budgets."""
    given = {key: _list(block.get(key, []), f"{where}: {key}") for key in OF_A_BLOCK}
    strategies = [_entry(item, "strategy", f"{where}: strategies") for item in given["strategies"]]
    protocols = [_entry(item, "protocol", f"{where}: protocols") for item in given["protocols"]]
    budgets = [_budget(value, f"{where}: budgets") for value in given["budgets"]]
    for key, found in (("strategies", strategies), ("protocols", protocols)):
        words = [entry.word for entry in found]
        _check_distinct([entry.settings for entry in found], words, f"{where}: {key}")
    _check_distinct(budgets, [str(value) for value in given["budgets"]], f"{where}: budgets")
    asking = [entry for entry in protocols if PROTOCOLS[entry.settings["protocol"]].active]
    if strategies and not budgets:
        raise ConfigError(f"{where}: strategies need budgets, such as `budgets: [0.01, 0.05]`.")
    if not strategies and (budgets or asking):
        what = "budgets" if budgets else f"the protocol {asking[0].settings['protocol']}"
        raise ConfigError(f"{where}: {what} need strategies, such as `strategies: [random, ripu]`.")
    for protocol in protocols:
        if protocol not in asking:
            yield NamedVariant(_name(protocol), protocol.settings)
    for protocol in asking or [_Entry(USUAL_PROTOCOL, {}, {"protocol": USUAL_PROTOCOL})]:
        for budget in budgets:
            for strategy in strategies:
                yield NamedVariant(
                    _name(protocol, strategy, budget),
                    {**protocol.settings, **strategy.settings, "budget": str(budget.plain)},
                )


def _name(protocol: _Entry, strategy: _Entry | None = None, budget: Budget | None = None) -> str:
    told = {**protocol.told, **({} if strategy is None else strategy.told)}
    variant = Variant(protocol.word, "" if strategy is None else strategy.word, details_of(told))
    return variant.folder_name({"protocol": USUAL_PROTOCOL}, budget)


def _budget(value: Any, where: str) -> Budget:
    try:
        return Budget.parse(value)
    except BudgetError as error:
        raise ConfigError(f"{where}: {error}") from error


def _check_distinct(found: Sequence[Any], words: Sequence[str], where: str) -> None:
    """Check that a list of one block holds nothing twice, under whatever names."""
    for index, word in enumerate(words):
        first = words[found.index(found[index])]
        if found.index(found[index]) == index:
            continue
        what = f"{word} is named twice" if word == first else f"{first} and {word} are the same"
        raise ConfigError(f"{where}: {what}. Leave one of them out.")


@dataclass(frozen=True)
class _Entry:
    """A strategy or a protocol of a list.

    Attributes:
        word: What it is called, given or not.
        told: The settings that tell it from others of that word; none if its name was given.
        settings: Its settings.
    """

    word: str
    told: Mapping[str, Any]
    settings: Mapping[str, Any]


def _entry(item: Any, kind: str, where: str) -> _Entry:
    """Return a strategy or protocol of a list: its name alone, or a mapping with settings."""
    if isinstance(item, str):
        item = {kind: item}
    known = {entry.name: entry for entry in all_settings()}
    own = {"name", kind} | ({"strategy_options"} if kind == "strategy" else set())
    settings = _mapping(item, where) if isinstance(item, Mapping) else {}
    _check_keys(settings, (known.keys() - set(DECIDED)) | own, where, hints=known)
    if not isinstance(settings.get(kind), str):
        raise ConfigError(
            f"{where}: expected a name, or a mapping such as {{name: mine, {kind}: ...}} with "
            f"settings of its own, got {item!r:.80}."
        )
    if kind == "strategy":
        _check_keys([settings[kind]], available(), where, what="strategy")
    else:
        _check_keys([settings[kind]], get_args(known[kind].type), where, what="protocol")
    told = {} if "name" in settings else settings
    name = settings.pop("name", settings[kind])
    if not isinstance(name, str) or not name or name[0] in ".-" or set(name) & set("/\\\n"):
        raise ConfigError(
            f"{where}: the name {name!r} becomes that of a folder: it is text without a slash, "
            "a backslash or a line break, is not empty and does not start with a dot or a hyphen."
        )
    return _Entry(name, told, settings)


def _once(variants: Iterator[NamedVariant], path: Path) -> Iterator[NamedVariant]:
    """Leave out what several blocks name; what differs needs a name of its own."""
    known: dict[str, NamedVariant] = {}
    for variant in variants:
        before = known.setdefault(variant.name, variant)
        if before is variant:
            yield variant
        elif before != variant:
            raise ConfigError(
                f"{path}: two variants are called {variant.name!r}, with different settings. Name "
                "one of them: {name: ..., strategy: ...}."
            )


def _seeds(content: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    seeds = _list(content.get("seeds", [0]), f"{path}: seeds")
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ConfigError(
            f"{path}: seeds: expected whole numbers from 0 on, such as [0, 1, 2], got {seeds!r}."
        )
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{path}: seeds: {seeds!r} names a seed twice.")
    return tuple(seeds)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected settings by name, got {value!r:.60}.")
    return {str(key).replace("-", "_"): item for key, item in value.items()}


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{where}: expected a list such as [a, b], got {value!r:.60}.")
    return value


def _check_keys(
    given: Collection[Any],
    allowed: Collection[str],
    where: str | Path,
    hints: Collection[str] = (),
    what: str = "key",
) -> None:
    for key in given:
        if key in allowed:
            continue
        if key in hints:
            raise ConfigError(
                f"{where}: {key} cannot be given here, since the matrix decides it: {DECIDED[key]}."
            )
        listed = " `alseg fit --help` lists the settings."
        if len(allowed) < LISTED:
            listed = f" Known: {', '.join(allowed)}."
        hint = did_you_mean(str(key), allowed)
        raise ConfigError(f"{where}: unknown {what} {key!r}.{hint}{listed}")

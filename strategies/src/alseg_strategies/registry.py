"""Strategies by name. Listing them imports neither torch nor a plug-in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar, overload

from alseg_strategies.errors import (
    DuplicateStrategy,
    PluginError,
    UnknownOption,
    UnknownStrategy,
)

if TYPE_CHECKING:
    from alseg_strategies.strategy import Strategy

    StrategyType = TypeVar("StrategyType", bound=type[Strategy])

ENTRY_POINT_GROUP = "alseg.strategies"


@dataclass(frozen=True)
class _Entry:
    """Where a strategy comes from, and how to get its class once somebody wants it."""

    origin: str
    description: str
    load: Callable[[], type[Strategy]]


def _built_in(module: str, class_name: str, description: str) -> _Entry:
    home = f"{__package__}.{module}"

    def load() -> type[Strategy]:
        strategy: type[Strategy] = getattr(import_module(home), class_name)
        return strategy

    return _Entry(f"{home}:{class_name}", description, load)


# The descriptions stand here and not in the classes, since reading those would import torch.
_BUILT_IN: dict[str, _Entry] = {
    "random": _built_in("random", "Random", "uniformly random pixels, the baseline"),
    "entropy": _built_in("entropy", "Entropy", "entropy of the softmax"),
    "margin": _built_in("margin", "Margin", "how close the best and the second best class are"),
    "least-confidence": _built_in(
        "least_confidence", "LeastConfidence", "one minus the probability of the best class"
    ),
    "teacher-disagreement": _built_in(
        "teacher_disagreement",
        "TeacherDisagreement",
        "how far the network and its teacher disagree (Jensen-Shannon divergence)",
    ),
    "ripu": _built_in(
        "ripu", "RIPU", "region impurity times prediction uncertainty (arXiv 2111.12940)"
    ),
    "halo": _built_in(
        "halo", "HALO", "hyperbolic radius times prediction uncertainty (arXiv 2306.11180)"
    ),
}
_registered: dict[str, _Entry] = {}


def _from_entry_point(point: EntryPoint) -> _Entry:
    def load() -> type[Strategy]:
        try:
            strategy: type[Strategy] = point.load()
        except Exception as error:
            raise PluginError(
                f"the strategy {point.name!r} is announced by {point.value}, which cannot be "
                f"imported ({type(error).__name__}: {error}); repair or uninstall that package"
            ) from error
        return strategy

    return _Entry(point.value, f"plug-in {point.value}", load)


def _entries() -> dict[str, _Entry]:
    table = {**_BUILT_IN, **_registered}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        _refuse_duplicate(point.name, point.value, table)
        table[point.name] = _from_entry_point(point)
    return table


def _refuse_duplicate(name: str, origin: str, table: Mapping[str, _Entry]) -> None:
    if name in table:
        raise DuplicateStrategy(
            f"two strategies are called {name!r}: {table[name].origin} and {origin}; "
            "rename or remove one of them"
        )


def available() -> dict[str, str]:
    """List the strategies: name to a description of one line.

    Built-in strategies come first, then those registered in this process, then plug-ins, whose
    description is the address of their class since they are not imported.

    Raises:
        DuplicateStrategy: Two strategies claim the same name.
    """
    return {name: entry.description for name, entry in _entries().items()}


@overload
def register(name: str) -> Callable[[StrategyType], StrategyType]: ...
@overload
def register(name: str, strategy: StrategyType) -> StrategyType: ...
def register(
    name: str, strategy: StrategyType | None = None
) -> StrategyType | Callable[[StrategyType], StrategyType]:
    """Make a strategy known by a name in this process.

    Either a decorator, `@register("mine")`, or a call, `register("mine", Mine)`. The first line
    of the class's docstring is its description. To make a strategy known in every process,
    announce it under the entry-point group `alseg.strategies` of a distribution.

    Raises:
        DuplicateStrategy: The name is taken.
    """

    def add(strategy: StrategyType) -> StrategyType:
        origin = f"{strategy.__module__}:{strategy.__qualname__}"
        _refuse_duplicate(name, origin, _entries())
        description = (inspect.getdoc(strategy) or origin).splitlines()[0]
        _registered[name] = _Entry(origin, description, lambda: strategy)
        return strategy

    return add if strategy is None else add(strategy)


def options(name: str) -> dict[str, Any]:
    """The options of a strategy and their defaults; imports the strategy's module.

    An option without a default is mapped to `inspect.Parameter.empty`.

    Raises:
        UnknownStrategy: No strategy has that name.
    """
    return _options(_load(name))


def create(name: str, **options: Any) -> Strategy:
    """Build a strategy by name.

    Args:
        name: One of `available()`.
        **options: The options of that strategy; `alseg_strategies.options(name)` lists them.

    Raises:
        UnknownStrategy: No strategy has that name.
        UnknownOption: The strategy has no such option.
        ValueError: The value of an option is not allowed.
    """
    strategy = _load(name)
    allowed = _options(strategy)
    takes_any = any(
        parameter.kind is parameter.VAR_KEYWORD
        for parameter in inspect.signature(strategy).parameters.values()
    )
    for option in options:
        if option not in allowed and not takes_any:
            listing = ", ".join(_show(*item) for item in allowed.items()) or "none"
            raise UnknownOption(
                f"{name} has no option {option!r}{_did_you_mean(option, allowed)} "
                f"Its options: {listing}."
            )
    return strategy(**options)


def name_of(strategy: Strategy) -> str:
    """The name of a strategy: its own attribute `name`, or the one that its class is known by.

    Raises:
        UnknownStrategy: It has neither.
    """
    if strategy.name:
        return strategy.name
    kind = type(strategy)
    origin = f"{kind.__module__}:{kind.__qualname__}"
    table = _entries()
    for name, entry in table.items():
        if entry.origin == origin:
            return name
    # A plug-in may announce its class where it is imported, and not where it is written.
    for point in entry_points(group=ENTRY_POINT_GROUP):
        with suppress(PluginError):
            if table[point.name].load() is kind:
                return point.name
    raise UnknownStrategy(
        f"the strategy {origin} has no name, by which a run keeps what was asked for: register it "
        'with @register("mine"), or give it the attribute name = "mine"'
    )


def _load(name: str) -> type[Strategy]:
    table = _entries()
    if name not in table:
        raise UnknownStrategy(
            f"there is no strategy {name!r}{_did_you_mean(name, table)} "
            f"Available: {', '.join(table)}."
        )
    return table[name].load()


def _options(strategy: type[Strategy]) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(strategy).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def _show(name: str, default: object) -> str:
    return name if default is inspect.Parameter.empty else f"{name}={default!r}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."

"""One setting: how it is declared at its field, and what can be read of it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from alseg.config.size import Size

Group = Literal["active", "data", "model", "training", "output"]
"""The groups of settings; every setting belongs to its own."""

Tag = Literal[
    "first",  # The help of `alseg fit` begins with it.
    "query",  # `alseg query` takes it.
    "evaluate",  # `alseg evaluate` takes it.
    "check-data",  # `alseg check-data` takes it.
    "machine",  # It says what the run is computed on, and how it is watched.
    "resume",  # It may change when a run is resumed.
    "moved",  # It may name another place when a run is resumed, of the same data.
    "domain",  # It names the images of a domain.
    "opens",  # Which images a run opens depends on it.
    "evaluation",  # It changes how a network is measured, not how it is trained.
    "after start",  # The start on the source does not depend on it.
    "head",  # It belongs to the head: a network with another head has a start of its own.
    "variant",  # It makes a variant, beside what is asked for.
    "compared",  # It is what runs are compared by.
    "uncompared",  # It changes no figure, or figures show whether it is the same.
    "logging",  # It says where figures are logged.
]
"""What a setting may belong to beside its group."""

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """The numbers that a setting may have; None leaves a side open."""

    at_least: int | None
    above: int | None
    below: int | None

    def missed_by(self, value: Any) -> str:
        """Return what a value must be, if it is a number out of bounds; else nothing."""
        if value is None:
            return ""
        if self.below is not None and not (self.at_least or 0) <= value < self.below:
            return f"in [{self.at_least or 0}, {self.below})"
        if self.at_least is not None and not value >= self.at_least:
            return f"{self.at_least} or more"
        if self.above is not None and not value > self.above:
            return f"above {self.above}"
        return ""


@dataclass(frozen=True)
class Setting:
    """What is known of a setting.

    Attributes:
        name: Its name.
        group: Its group.
        type: Its type.
        default: Its default.
        help: What it is, for the help of the command line.
        of: What it belongs to beside its group.
        bounds: The numbers that it may have.
        in_matrix: How a matrix file gives it, if it is for the matrix to decide.
    """

    name: str
    group: Group
    type: Any
    default: Any
    help: str
    of: Set[Tag]
    bounds: Bounds
    in_matrix: str

    @property
    def is_size(self) -> bool:
        """Whether the value is a height and a width."""
        return Size in get_args(self.type)

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping from names to values."""
        return get_origin(self.type) is dict


def setting(
    default: T,
    help: str,
    *,
    of: Set[Tag] = frozenset(),
    at_least: int | None = None,
    above: int | None = None,
    below: int | None = None,
    in_matrix: str = "",
) -> T:
    """Return the field of a setting.

    Args:
        default: Its default; None stands for one that depends on other settings.
        help: What it is; after ``; null:`` what None stands for.
        of: What it belongs to beside its group.
        at_least: The smallest number that it may be.
        above: What it must exceed.
        below: What it must stay below; it is then at least ``at_least``, or 0.
        in_matrix: How a matrix file gives it, if that is for the matrix to decide and not for the
            settings of all runs.
    """
    about = {
        "help": help,
        "of": frozenset(of),
        "bounds": Bounds(at_least, above, below),
        "in_matrix": in_matrix,
    }
    declared: Any
    if isinstance(default, dict):
        declared = field(default_factory=default.copy, metadata=about)
    else:
        declared = field(default=default, metadata=about)
    return cast(T, declared)

"""What has to be known to read a comparison, beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from alseg.compare.comparability import DIFFER, NOT_COMPARABLE, choices_of, warnings_of
from alseg.compare.comparison import LEFT_OUT, Comparison
from alseg.compare.evidence import DAMAGED, Evidence


@dataclass(frozen=True)
class Caution:
    """A list of things of one kind, under its title.

    Attributes:
        title: What they have in common.
        lines: The things, one a line.
        warns: Whether something is amiss, rather than chosen.
    """

    title: str
    lines: list[str]
    warns: bool = True


def cautions(comparison: Comparison, evidence: Evidence) -> list[Caution]:
    """Return in what the runs differ, by choice and otherwise, and what is missing of them."""
    found = [
        Caution(NOT_COMPARABLE, warnings_of(comparison)),
        Caution(DIFFER, choices_of(comparison), warns=False),
        Caution(LEFT_OUT, comparison.problems),
        Caution(DAMAGED, evidence.problems),
    ]
    return [caution for caution in found if caution.lines]

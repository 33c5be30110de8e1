"""What runs wrote down about their rounds, added up over rounds and seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alseg.compare.analysis import Sums, added
from alseg.compare.comparison import Comparison, Point
from alseg.compare.runs import Run

FOLDER = "analysis"
FORMAT = 1


@dataclass(frozen=True)
class RoundEvidence:
    """What a run wrote down about one round.

    Attributes:
        number: The round, from 1.
        classes: The names of the classes.
        rim: The largest hyperbolic radius that can be told; None for other networks.
        images: The images that were pictured, and their small pictures by kind.
        sums: See `alseg.compare.analysis`.
    """

    number: int
    classes: tuple[str, ...]
    rim: float | None
    images: tuple[tuple[str, dict[str, Path]], ...]
    sums: Sums


@dataclass
class Evidence:
    """The rounds of all runs, each file read once.

    Attributes:
        problems: Files that could not be read, and why.
    """

    problems: list[str] = field(default_factory=list)
    _rounds: dict[Path, list[RoundEvidence]] = field(default_factory=dict)

    def rounds(self, run: Run) -> list[RoundEvidence]:
        """Return the rounds of a run, in order; none where it wrote nothing down."""
        if run.folder not in self._rounds:
            paths = sorted((run.folder / FOLDER).glob("round-*.json"))
            found = [self._read(path) for path in paths]
            self._rounds[run.folder] = [part for part in found if part is not None]
        return self._rounds[run.folder]

    def classes(self, comparison: Comparison) -> tuple[str, ...]:
        """Return the classes of the first run that tells them."""
        for run in comparison.runs:
            for part in self.rounds(run):
                return part.classes
        return ()

    def numbers(self, point: Point) -> list[int]:
        """Return the rounds that some run of a point wrote something down about."""
        return sorted({part.number for run in point.runs for part in self.rounds(run)})

    def sums(self, point: Point, numbers: Sequence[int] | None = None) -> Sums:
        """Return the sums over the runs of a point.

        Args:
            point: The runs.
            numbers: The rounds to add up; None takes all.
        """
        total: Sums = {}
        for run in point.runs:
            for part in self.rounds(run):
                if numbers is None or part.number in numbers:
                    total = added(total, part.sums)
        return total

    def _read(self, path: Path) -> RoundEvidence | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return _evidence(path.parent, content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problems.append(f"{path} cannot be read ({error}) and is left out.")
            return None


def _evidence(folder: Path, content: dict[str, Any]) -> RoundEvidence:
    if content["format"] != FORMAT:
        raise ValueError(f"it has format {content['format']!r}, and format {FORMAT} is read here")
    images = [
        (str(image["id"]), {kind: folder / name for kind, name in image["panels"].items()})
        for image in content["images"]
    ]
    sums = {name: np.asarray(values, dtype=np.float64) for name, values in content["sums"].items()}
    rim = content["rim"]
    return RoundEvidence(
        int(content["round"]),
        tuple(map(str, content["classes"])),
        None if rim is None else float(rim),
        tuple(images),
        sums,
    )

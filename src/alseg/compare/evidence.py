"""What runs wrote down about their rounds, added up over rounds and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from alseg.compare.archive import Place
from alseg.compare.comparison import Comparison, Point
from alseg.compare.runs import Run
from alseg.config.run_files import ANALYSIS, ROUND, round_name
from alseg.runs.analysis import Sums, added
from alseg.runs.round_evidence import RoundEvidence

DAMAGED = "Rounds that are not known or do not fit"
"""Stands above what is wrong with what runs wrote down about their rounds."""

UNREADABLE = (AttributeError, OSError, OverflowError, RecursionError, TypeError, ValueError)
"""What is raised where a file holds something else than a round's evidence."""


Round = RoundEvidence[Place]


class Evidence:
    """The rounds of all runs that have the same classes.

    Args:
        comparison: The runs; the first that tells its classes says which ones count.

    Attributes:
        classes: The names of the classes; none where no run wrote anything down.
        problems: What could not be read, does not fit or lacks, one sentence each.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.classes: tuple[str, ...] = ()
        self.problems: list[str] = []
        self._rounds = {run.folder: self._read_run(run) for run in comparison.runs}
        if self.classes:
            self.problems += [
                problem
                for run in comparison.runs
                if not run.is_bound and (problem := self._lacking(run))
            ]

    def rounds(self, run: Run) -> list[Round]:
        """Return the rounds of a run, in order; none where it wrote nothing down."""
        return self._rounds[run.folder]

    def numbers(self, point: Point) -> list[int]:
        """Return the rounds that some run of a point wrote something down about."""
        return sorted({part.number for run in point.runs for part in self.rounds(run)})

    def sums(self, runs: Iterable[Run], numbers: Sequence[int] | None = None) -> Sums:
        """Return the sums over runs.

        Args:
            runs: The runs.
            numbers: The rounds to add up; None takes all.
        """
        total: Sums = {}
        for run in runs:
            for part in self.rounds(run):
                if numbers is None or part.number in numbers:
                    total = added(total, part.sums)
        return total

    def _read_run(self, run: Run) -> list[Round]:
        folder = run.folder / ANALYSIS
        paths: list[Place] = sorted(folder.glob(f"{ROUND}*.json"), key=str)
        rounds = [part for path in paths if (part := self._read(folder, path)) is not None]
        for part in rounds:
            self.classes = self.classes or part.classes
            if part.classes != self.classes:
                self.problems.append(
                    f"`{folder}` is left out: round {part.number} has the classes "
                    f"{', '.join(part.classes)}, and the first run has {', '.join(self.classes)}."
                )
                return []
        return rounds

    def _read(self, folder: Place, path: Place) -> Round | None:
        try:
            text = path.read_text(encoding="utf-8")
            found = RoundEvidence.decode(text, lambda name: _within(folder, name))
            if path.name != f"{round_name(found.number)}.json":
                raise ValueError(f"it tells of round {found.number}")
        except KeyError as error:
            self.problems.append(f"`{path}` cannot be read (it lacks {error}) and is left out.")
        except UNREADABLE as error:
            self.problems.append(f"`{path}` cannot be read ({error}) and is left out.")
        else:
            return found
        return None

    def _lacking(self, run: Run) -> str:
        """Return which rounds of a run nothing is known of, or too much; nothing if it is whole."""
        steps = run.settings.get("round_steps")
        count = len(steps) if isinstance(steps, list | tuple) else run.settings.get("rounds")
        if not isinstance(count, int):
            return ""
        wanted, told = set(range(1, count + 1)), {part.number for part in self.rounds(run)}
        parts = []
        if wanted - told:
            parts.append(f"tells nothing of {_rounds_text(wanted - told)}")
        if told - wanted:
            parts.append(f"tells of {_rounds_text(told - wanted)}, which it should not have")
        return f"`{run.folder}` {' and '.join(parts)}; its rounds are {count}." if parts else ""


def _within(folder: Place, name: str) -> Place:
    """Return the path of a picture, which is in the folder or below: the report copies it."""
    inside = not PurePath(name).is_absolute() and ".." not in PurePath(name).parts
    if isinstance(folder, Path):  # A link may lead out as well.
        inside = (folder / name).resolve().is_relative_to(folder.resolve())
    if not inside:
        raise ValueError(f"its picture {name!r} lies elsewhere")
    return folder / name


def _rounds_text(numbers: Iterable[int]) -> str:
    listed = sorted(numbers)
    return f"round{'s' if len(listed) > 1 else ''} {', '.join(map(str, listed))}"

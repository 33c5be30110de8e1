"""What is known of the runs of a matrix before, while and after they are run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from alseg.config.run_files import CONFIG
from alseg.config.settings import names_of
from alseg.errors import ConfigError
from alseg.runs.folder import RunFolder
from alseg.sweep.plan import Run, differences
from alseg.sweep.runner import Ended, Job, last_lines

LINES = 6
"""How many lines of a failed run are shown."""


_log = logging.getLogger("alseg")


class Stage(Enum):
    """How far a run has come."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"


def stage_of(run: Run, read: Callable[[Path], Mapping[str, Any]]) -> Stage:
    """Return how far a run has come, by its folder.

    Args:
        run: The run.
        read: Reads a file of settings.

    Raises:
        ConfigError: The folder holds another run, or what is kept in it cannot be read.
    """
    kept = run.folder / CONFIG
    if not kept.is_file():
        return Stage.NEW
    settings = read(kept)
    other = differences(settings, run)
    if other:
        raise ConfigError(
            f"{run.folder} holds a run with other settings: {'; '.join(other)}. Name another "
            "folder with --out, or move that one away to have it run anew."
        )
    if RunFolder.open(run.folder).summary.finished:
        return Stage.FINISHED
    stays = [
        name for name in names_of("logging") if settings.get(name) != getattr(run.config, name)
    ]
    if stays:
        told = ", ".join(f"{name}: {settings.get(name)}" for name in stays)
        _log.warning("%s goes on as it was begun, with %s", run.folder, told)
    return Stage.BEGUN


@dataclass
class Report:
    """Says how the runs of a matrix go, a line for each that begins or ends.

    Attributes:
        total: How many runs the matrix has.
        done: How many have ended, or had before.
        folders: The folder of every run by its name.
    """

    total: int
    done: int
    folders: Mapping[str, Path]
    _failed: list[Ended] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.done:
            print(f"{self.done} of {self.total} runs are finished already", flush=True)

    def started(self, job: Job) -> None:
        """Say that a run has begun."""
        print(f"{'':9}{job.name}: begun, its log is {job.log}", flush=True)

    def ended(self, end: Ended) -> None:
        """Say how a run has ended."""
        self.done += 1
        counted = f"{f'{self.done}/{self.total}':9}{end.job.name}"
        if end.code == 0:
            minutes = f"{end.seconds / 60:.1f} min"
            print(f"{counted}: finished in {minutes}{self._figure(end.job.name)}", flush=True)
            return
        self._failed.append(end)
        if end.code is None:
            print(f"{counted}: not run, since {end.job.after} failed", flush=True)
            return
        said = last_lines(end.job.log, LINES)
        print(f"{counted}: failed ({_status(end.code)}); its last words:")
        print("\n".join(f"{'':9}| {line}" for line in said), flush=True)

    def close(self, out: Path) -> int:
        """Say what came of the runs, and return the exit status."""
        if not self._failed:
            print(f"all {self.total} runs are finished: {out}")
            return 0
        print(f"\n{len(self._failed)} of {self.total} runs failed or were not run:")
        for end in self._failed:
            why = f"needs {end.job.after}" if end.code is None else f"log: {end.job.log}"
            print(f"  {end.job.name}  ({why})")
        print("Mend what their logs say and give the same command again: the others are kept.")
        return 1

    def _figure(self, name: str) -> str:
        try:
            after = RunFolder.open(self.folders[name]).summary.after
        except ConfigError:
            return ""
        reached = None if after is None else after.miou
        return "" if reached is None else f", mIoU {100 * reached:.1f} %"


def _status(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"

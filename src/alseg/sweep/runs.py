"""Which runs of a matrix are to be run, and whether they can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alseg.config.budget import Budget, check_affordable
from alseg.config.protocols import PROTOCOLS
from alseg.config.schedule import round_schedule
from alseg.config.settings import names_of
from alseg.errors import AlsegError, ConfigError, did_you_mean
from alseg.sweep.plan import Run, starts_of
from alseg.sweep.report import Stage, stage_of

if TYPE_CHECKING:
    from alseg.data import SegmentationDataset


def chosen_runs(
    runs: Sequence[Run], patterns: Sequence[str], read: Callable[[Path], Mapping[str, Any]]
) -> tuple[list[Run], dict[str, Stage]]:
    """Return the runs of some names with the starts that they lack, and how far each has come.

    Args:
        runs: All runs of the matrix.
        patterns: Names, or patterns of names; none of them takes all runs.
        read: Reads a file of settings.

    Raises:
        ConfigError: A pattern names none, or a folder holds another run or is damaged.
    """
    called = _called(runs, patterns)
    needed = starts_of(one for one in runs if one.name in called)
    stages = {one.name: stage_of(one, read) for one in runs if one.name in called | needed}
    finished = {name for name, stage in stages.items() if stage is Stage.FINISHED}
    # Runs that are finished may have been copied here without their start, which then is not made.
    lacking = starts_of(one for one in runs if one.name in called - finished)
    chosen = called | lacking | (set() if patterns else needed & finished)
    return [one for one in runs if one.name in chosen], stages


def _called(runs: Sequence[Run], patterns: Sequence[str]) -> set[str]:
    """Return which runs are asked for: those of some names, or all but the starts they share.

    Raises:
        ConfigError: A pattern names none.
    """
    if not patterns:
        return {one.name for one in runs} - starts_of(runs)
    called: set[str] = set()
    for pattern in patterns:
        found = {one.name for one in runs if one.name == pattern or fnmatchcase(one.name, pattern)}
        if not found:
            known = [one.name for one in runs]
            hint = did_you_mean(pattern, known) or " --dry-run lists them by their folders."
            raise ConfigError(f"--only: no run is called {pattern!r}.{hint}")
        called |= found
    return called


def check_data(todo: Iterable[Run]) -> None:
    """Check that the data of all runs can be opened, their rounds fit and buy a label.

    Raises:
        ConfigError: It is not so; the message names the run.
    """
    # What follows brings PyTorch; what is misspelt was answered before.
    from alseg.data.checks import check_headers
    from alseg.labels.region_shape import check_counted, region_of
    from alseg.runs.domains import open_domains

    opened: dict[str, SegmentationDataset] = {}
    for one in todo:
        # Of init_from it counts only whether it is given.
        settings = {**vars(one.config), "init_from": one.config.init_from is None}
        data = repr([settings[name] for name in names_of("opens")])
        try:
            if data not in opened:
                opened[data] = open_domains(one.config).target
            if PROTOCOLS[one.config.protocol].active:
                round_schedule(one.config.steps, one.config.rounds, one.config.round_steps)
                budget = Budget.parse(one.config.budget)
                sizes = check_headers(opened[data], labels=False)
                region = region_of(one.config)
                check_counted(budget, region)
                costs = [region.largest_cost(size) for size in sizes]
                check_affordable(budget, costs, sum(height * width for height, width in sizes))
        except AlsegError as error:
            raise ConfigError(f"{one.name}: {error}") from error

"""Finished and unfinished runs, as their folders tell of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alseg.compare.archive import Place, read_archive
from alseg.config.budget import Budget
from alseg.config.commands import resume_command
from alseg.config.run_files import CONFIG, PROVENANCE, STARTS, SUMMARY
from alseg.config.settings import names_of
from alseg.config.strategy_options import window_radius
from alseg.config.yaml_file import read_mapping
from alseg.errors import AlsegError, CompareError, ConfigError
from alseg.runs.run_provenance import POOL, SOURCE, RunProvenance
from alseg.runs.run_summary import RunSummary

RESTORE = "Restore it from a copy, or have the run made anew."
"""What to do about a file of a run that is damaged."""

MEANT_TO_DIFFER = frozenset(names_of("output", "compared", "uncompared"))
"""Settings that are compared, and those that change no figure."""

OF_ASKING = frozenset(names_of("active")) - MEANT_TO_DIFFER
"""Settings that mean nothing to a run that asks for no labels."""

BOUNDS = {"source_only": "source only", "fully_supervised": "fully supervised"}
"""The protocols that ask for no labels: what a run without and one with all of them reaches."""


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Attributes:
        folder: Its folder, on disk or in an archive.
        settings: All its settings, by name.
        summary: Its figures.
        provenance: What it was made with; empty where it did not write that down.
        problem: Why it has no figures to compare; empty if it has.
    """

    folder: Place
    settings: Mapping[str, Any] = field(default_factory=dict)
    summary: RunSummary = field(default_factory=RunSummary)
    provenance: RunProvenance = field(default_factory=RunProvenance)
    problem: str = ""

    @property
    def seed(self) -> int:
        """The seed of everything random."""
        return int(self.settings["seed"])

    @property
    def protocol(self) -> str:
        """Which domains and labels it was trained on."""
        return str(self.settings["protocol"])

    @property
    def is_bound(self) -> bool:
        """Whether it asked for no labels, so that it is a line that others are held against."""
        return self.protocol in BOUNDS

    @property
    def uses_source(self) -> bool:
        """Whether it began with a network that was trained on the source."""
        return self.protocol != "target_only"

    def data_name(self, domain: str) -> str | None:
        """Return what its ``source`` or ``target`` is called; None where it did not write that."""
        return self.provenance.data_name(POOL if domain == "target" else SOURCE)

    @property
    def radius(self) -> int:
        """Radius of the windows it asked for, said or left to follow from who answers."""
        return window_radius(self.settings.get("radius"), self.settings.get("annotator"))

    @property
    def budget(self) -> Budget:
        """What it was allowed to ask for."""
        return Budget.parse(self.settings["budget"])

    @property
    def miou(self) -> float:
        """Mean IoU of the last checkpoint on the reported images, in [0, 1]."""
        after = self.summary.after
        reached = None if after is None else after.miou
        if reached is None:
            raise ValueError(f"{self.folder} measured no mIoU")
        return reached

    @property
    def start(self) -> float | None:
        """Mean IoU of the network that training under the protocol started from."""
        return None if self.summary.before is None else self.summary.before.miou

    @property
    def share(self) -> float | None:
        """Share of the pool's pixels that it asked for."""
        return None if self.summary.labels is None else self.summary.labels.share

    @property
    def clicks(self) -> float | None:
        """Answers that the labels took; an oracle gives one a region."""
        return None if self.summary.labels is None else self.summary.labels.charged

    @property
    def iou(self) -> dict[str, float | None]:
        """IoU of every class; None for one that never occurs."""
        return {} if self.summary.after is None else self.summary.after.iou


def find_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Return the runs in some folders and archives, each once, in the order of their names.

    The starts that the runs of a matrix share are no variants of it: they are found only where
    their own folder is named.

    Args:
        paths: Folders of runs, or folders that have such in them at any depth, or archives of runs.

    Raises:
        CompareError: A folder is missing or has no run in it, or an archive cannot be used.
    """
    found: dict[Path, Run] = {}
    for path in map(Path, paths):
        if path.is_file():
            for run in read_archive(path):
                found.setdefault(path.resolve() / str(run), read_run(run))
            continue
        if not path.is_dir():
            what = f"{path} is no folder" if path.exists() else f"There is no folder {path}"
            raise CompareError(
                f"{what}. Name the folders of runs, or folders with runs in them, such as runs."
            )
        folders = list(_run_folders(path))
        if not folders:
            raise CompareError(
                f"{path} holds no run to compare: there is no {CONFIG} in it or in a folder below, "
                f"not counting {STARTS}. Name the folder that a run printed when it started, or "
                "one that has such folders in it."
            )
        for folder in folders:
            found.setdefault(folder.resolve(), read_run(folder))
    return list(found.values())


def read_run(folder: Place) -> Run:
    """Return what a run's folder tells; a run that cannot be compared says why in ``problem``."""
    try:
        settings = read_mapping(folder / CONFIG)
    except ConfigError as error:
        return Run(folder, problem=str(error))
    missing = [name for name in names_of("compared") if settings.get(name) is None]
    if missing:
        problem = f"{folder / CONFIG} lacks {', '.join(missing)}. {RESTORE}"
        return Run(folder, problem=problem)
    try:
        summary = RunSummary(_read_json(folder / SUMMARY))
        provenance = RunProvenance(_read_json(folder / PROVENANCE))
        run = Run(folder, settings, summary, provenance)
        return replace(run, problem=_problem(run))
    except (AlsegError, TypeError, ValueError) as error:
        return Run(folder, settings, problem=str(error))


def _problem(run: Run) -> str:
    """Return why a run has no figures to compare; nothing if it has."""
    Budget.parse(run.settings["budget"])
    int(run.settings["seed"])
    if run.summary.after is None:
        return f"It has not ended; go on with `{resume_command(Path(str(run.folder)))}`."
    if not run.summary.after.measured:
        return "It measured no mIoU: its target has no labelled images to report on."
    for name, value in run.summary.shares.items():
        if value is not None and not (_is_number(value) and 0 <= value <= 1):
            what = f"{name} is {value!r}, which is no number from 0 to 1"
            return f"{run.folder / SUMMARY}: {what}. {RESTORE}"
    if not run.is_bound and run.share is None:
        return f"{run.folder / SUMMARY} does not say how much was labelled. {RESTORE}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _run_folders(folder: Path) -> Iterator[Path]:
    if _is_run(folder):
        yield folder
        return
    for below in sorted(folder.iterdir()):
        if not below.is_dir() or below.name.startswith(".") or below.name == STARTS:
            continue
        if not below.is_symlink():
            yield from _run_folders(below)
        elif _is_run(below):  # Another link may lead back up.
            yield below


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file() or (folder / SUMMARY).is_file()


def _read_json(path: Place) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise CompareError(f"{path} cannot be read: {error}. {RESTORE}") from error
    if not isinstance(content, dict):
        raise CompareError(f"{path}: expected figures by name, got {content!r:.60}. {RESTORE}")
    return content

"""The folder of a run: where its parts lie and what is known of it so far."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from alseg.config.commands import resume_command
from alseg.config.run import RunConfig, config_from, dump_config
from alseg.config.run_files import (
    ANALYSIS,
    CHECKPOINTS,
    CONFIG,
    LABELS,
    LAST_CHECKPOINT,
    METRICS,
    PICTURES,
    PROVENANCE,
    SUMMARY,
    check_writable_name,
    new_run_path,
)
from alseg.config.settings import names_of
from alseg.config.yaml_file import read_mapping
from alseg.distributed.processes import RUN_VARIABLE, handed_down, is_first_process
from alseg.errors import AnswersNeeded, ConfigError
from alseg.runs.phases import Clock, peak_memory, start_counting
from alseg.runs.run_summary import RunSummary
from alseg.storage.durable import draft_of, replace_durably
from alseg.storage.folder_lock import LOCK, lock_folder
from alseg.storage.links import refuse_links_out

STARTED = "# Relative paths begin in "
"""What the settings begin with; the directory that the run was started in follows."""

UNWRITABLE = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS)
"""What the system says where nothing can be written, or no more."""


@dataclass
class RunFolder:
    """A run's folder.

    Attributes:
        path: The folder.
        summary: What is known of the run so far; ``record`` writes it.
    """

    path: Path
    summary: RunSummary = field(default_factory=RunSummary)
    _clock: Clock | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, config: RunConfig, data: Sequence[str]) -> RunFolder:
        """Return the folder of a new run, which is not made yet, or of the run to resume.

        Args:
            config: The settings of the run.
            data: The names of its data sets, which name the folder where the settings do not.

        Raises:
            ConfigError: The folder of a new run is in use, that of an old one holds no run, or
                Lightning cannot write to a folder of that name.
            FolderLeadsOut: A link in the folder of an old run leads out of it.
        """
        if config.resume is not None:
            check_writable_name(Path(config.resume))
            refuse_links_out(Path(config.resume))
            return cls.open(config.resume)
        if is_first_process():
            path = Path(config.out) if config.out is not None else new_run_path(config, data)
            check_writable_name(path)
            if _in_use(path):
                how = f", or continue the run in it with `{resume_command(path)}`"
                raise ConfigError(
                    f"{path} is in use. Name another folder with --out"
                    f"{how if (path / CONFIG).is_file() else ''}."
                )
            return cls(path)
        shared = os.environ.get(RUN_VARIABLE, config.out)
        if shared is None:
            raise ConfigError(
                "Several processes need one run folder: name it with --out when they are started "
                "by a launcher."
            )
        return cls(Path(shared))

    @contextmanager
    def claimed(self, config: RunConfig) -> Iterator[None]:
        """Keep other runs out of the folder while the body runs; the first process does.

        The folder of a new run is made, with the settings of the run in it.

        Raises:
            FolderInUse: Another process works in the folder.
            ConfigError: The folder cannot be written.
        """
        if not is_first_process():
            yield
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(self.path, error) from error
        lock = lock_folder(self.path)
        try:
            if config.resume is None:
                self._keep(config, _here())
            elif moved := self.moved(config):
                places = {name: getattr(config, name) for name in moved}
                kept = config_from({**read_mapping(self.path / CONFIG), **places})
                self._keep(kept, self.started_elsewhere or _here())
            with handed_down(self.path):
                yield
        finally:
            lock.release()

    def moved(self, config: RunConfig) -> list[str]:
        """Return which data sets of a run that is resumed are at another place than before."""
        kept = read_mapping(self.path / CONFIG)
        return [name for name in names_of("moved") if getattr(config, name) != kept[name]]

    def _keep(self, config: RunConfig, directory: str) -> None:
        kept = self.path / CONFIG
        try:
            replace_durably(kept, f"{STARTED}{directory}\n\n{dump_config(config)}".encode())
        except OSError as error:
            raise self._unusable(kept, error) from error

    @staticmethod
    def _unusable(path: Path, error: OSError) -> ConfigError:
        return ConfigError(
            f"Cannot write {path}: {error.strerror or error}. Free some space, allow writing there "
            "or name another folder with --out, and start the run again."
        )

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open the folder of a run that was started before.

        Raises:
            ConfigError: The folder holds no run.
        """
        folder = Path(path)
        if not (folder / CONFIG).is_file():
            raise ConfigError(
                f"{folder} holds no run: there is no {folder / CONFIG}. Name the folder "
                "that the run printed when it started."
            )
        summary = folder / SUMMARY
        try:
            text = summary.read_text(encoding="utf-8") if summary.is_file() else "{}"
            return cls(folder, RunSummary.decode(text))
        except (RecursionError, ValueError) as error:
            raise ConfigError(
                f"{summary} cannot be read: {error}. Remove it and resume: its figures are "
                "measured again."
            ) from error

    @property
    def started_elsewhere(self) -> str | None:
        """The directory that the run was started in; None if it is this one or is not known."""
        with (self.path / CONFIG).open(encoding="utf-8") as file:
            first = file.readline().strip()
        there = first.removeprefix(STARTED)
        return there if there not in (first, _here()) else None

    @property
    def absolute(self) -> Path:
        """The folder from the root: Lightning takes ``http-run`` or ``file:run`` for a URL."""
        return self.path.absolute()

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.absolute / CHECKPOINTS

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint that the run goes on from, as it is shown to a person."""
        return self.path / LAST_CHECKPOINT

    @property
    def metrics(self) -> Path:
        """The folder of the figures that are logged as CSV."""
        return self.path / METRICS

    @property
    def provenance(self) -> Path:
        """The file of what the run was made with."""
        return self.path / PROVENANCE

    @property
    def labels(self) -> Path:
        """The folder of the label store."""
        return self.path / LABELS

    @property
    def pictures(self) -> Path:
        """The folder of the pictures of every round."""
        return self.path / PICTURES

    @property
    def analysis(self) -> Path:
        """The folder of what the report wants to know of every round."""
        return self.path / ANALYSIS

    def record(self) -> None:
        """Write the summary; only the first rank does."""
        if is_first_process():
            summary = self.path / SUMMARY
            with self.writing(summary):
                replace_durably(summary, self.summary.encode())

    @contextmanager
    def writing(self, path: Path | None = None) -> Iterator[None]:
        """Say which file cannot be written, why, and how to go on.

        Args:
            path: What the body writes; None if it is not known, and the body does other things too.

        Raises:
            ConfigError: The disk is full or cannot be written.
        """
        try:
            yield
        except OSError as error:
            if path is None and error.errno not in UNWRITABLE:
                raise
            raise ConfigError(
                f"Cannot write {path or error.filename or self.path}: {error.strerror or error}. "
                "Free some space or allow writing there, then go on with "
                f"`{resume_command(self.path)}`."
            ) from error

    @contextmanager
    def phase(self, name: str, within: Mapping[str, float] | None = None) -> Iterator[None]:
        """Add the seconds that the body takes to those of a phase, and keep its peak of memory.

        A body that fails or is stopped adds none after its last ``book``.

        Args:
            name: The phase.
            within: Seconds of phases inside the body, as they grow; they are told apart.
        """
        start_counting()
        self._clock = Clock(name, within or {})
        try:
            yield
            self.book()
        except AnswersNeeded:
            self.book()
            raise
        finally:
            self._clock = None

    def book(self) -> None:
        """Add what the phase took since it began, or since this was called last, to the summary.

        Called with every checkpoint: what a run that is killed does again is counted once.
        """
        if self._clock is None:
            return
        self.summary.add_peaks(self._clock.name, peak_memory())
        self.summary.add_seconds(self._clock.lap())
        self.record()


def _here() -> str:
    # Quoted, so that no name of a directory ends the line.
    return repr(str(Path.cwd()))


def _in_use(path: Path) -> bool:
    """Whether there is more than what a run leaves that was killed before it began."""
    if not path.is_dir():
        return path.exists()
    left = (LOCK, draft_of(path / CONFIG).name)
    return any(entry.name not in left for entry in path.iterdir())

"""How the phases of a run reach the line that says where it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar

from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig
from alseg.config.run_files import SOURCE
from alseg.config.schedule import round_schedule
from alseg.distributed.processes import is_first_process
from alseg.labels import LabelStore
from alseg.runs.domains import Domains
from alseg.runs.folder import RunFolder
from alseg.runs.run_line import SCORING, VALIDATION, RunLine
from alseg.runs.run_summary import EVALUATION, START, TRAINING

Batch = TypeVar("Batch")

FORWARD = 1 / 3
"""Of the time of a training step for one image, what showing it to the network alone takes."""


class RunProgress:
    """Says where a run is, on the first process, if the settings want it.

    Args:
        config: The settings of the run.
        domains: Its data sets.
        folder: Its folder.
        step: The step that training continues at.
    """

    def __init__(self, config: RunConfig, domains: Domains, folder: RunFolder, step: int) -> None:
        self.rounds = self.held = self._pool = 0
        self._line: RunLine | None = None
        if not config.progress or not is_first_process():
            return
        protocol = PROTOCOLS[config.protocol]
        if protocol.active:
            self.rounds = len(round_schedule(config.steps, config.rounds, config.round_steps))
        if LabelStore.exists(folder.labels):
            self.held = LabelStore.open(folder.labels).rounds
        # Of the first process, which is the one that counts.
        ranks = _processes(config)
        self._pool = math.ceil(len(domains.target) / ranks)
        known = folder.summary
        reported = 0 if domains.reported is None else math.ceil(len(domains.reported) / ranks)
        chosen = 0 if domains.chosen is None else math.ceil(len(domains.chosen) / ranks)
        validating = config.validate_every if chosen else None
        evaluations = sum(measured is None for measured in (known.before, known.after))
        starts = config.starts_on_source and not (folder.checkpoints / SOURCE).exists()
        done = known.after is not None
        left = {
            START: config.warm_start_steps if starts and not done else 0,
            TRAINING: 0 if done else config.steps - step,
            SCORING: 0 if done else max(0, self.rounds - self.held) * self._pool,
            VALIDATION: 0,
            EVALUATION: reported * (evaluations + (validating is not None and not done)),
        }
        if validating is not None and not done:
            left[VALIDATION] = chosen * (config.steps // validating - step // validating)
        self._steps = {phase: left[phase] for phase in (START, TRAINING)}
        image = FORWARD / config.batch_size
        shown = 2 if config.flip else 1
        alike = {
            START: 1.0,
            TRAINING: float(len(protocol.domains)),
            SCORING: image,
            VALIDATION: shown * image,
            EVALUATION: shown * image,
        }
        self._line = RunLine(left, alike, self._estimate, folder.path.name)

    def open(self) -> AbstractContextManager[None]:
        """Keep messages off the line in the body."""
        return nullcontext() if self._line is None else self._line.open()

    def callbacks(self, phase: str) -> list[Callback]:
        """Return what follows a trainer, whose steps are those of a phase; to go before others."""
        return [] if self._line is None else [_PhaseBar(self, phase, self._line)]

    def scoring(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """Follow the pool images of a round as they are loaded."""
        number = self.held + 1
        for done, batch in enumerate(loader, start=1):
            yield batch
            if self._line is not None:
                words = f"round {number} of {self.rounds}: scoring image {done} of {self._pool}"
                self._line.advance(SCORING, words)
        self.held = number

    def after_round(self, number: int, *_: Any) -> None:
        """Take note of a round that was held."""
        self.held = number

    def steps_are(self, phase: str, steps: int) -> None:
        """Take note of how many steps of a phase are left when it begins."""
        assert self._line is not None
        self._line.left[phase] = self._steps[phase] = steps

    def _estimate(self, pace: Callable[[str], float]) -> str:
        parts = [(self._steps[phase], f"{pace(phase):.2g} s") for phase in self._steps]
        parts = [part for part in parts if part[0]]
        words = []
        if len({each for _, each in parts}) == 1:
            words.append(f"{' + '.join(str(steps) for steps, _ in parts)} steps of {parts[0][1]}")
        elif parts:
            words.append(" + ".join(f"{steps} steps of {each}" for steps, each in parts))
        rounds = self.rounds - self.held
        if rounds > 0:
            words.append(f"{rounds} round{'' if rounds == 1 else 's'} of {self._pool} images")
        return ", ".join(words) or "the evaluation that is left"


class _PhaseBar(ProgressBar):
    """Lightning's place for whatever shows progress."""

    def __init__(self, progress: RunProgress, phase: str, line: RunLine) -> None:
        super().__init__()
        self._progress, self._steps, self._line = progress, phase, line
        self._enabled = True

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        self._line.clear()
        print(*args, **kwargs)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A start on the source that is resumed has steps behind it.
        self._progress.steps_are(self._steps, trainer.max_steps - trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        run = self._progress
        rounds = (
            f", round {run.held} of {run.rounds}" if self._steps == TRAINING and run.held else ""
        )
        words = f"{self._steps}{rounds}: step {trainer.global_step} of {trainer.max_steps}"
        self._advance(self._steps, words)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._advance(
            VALIDATION, f"validation at step {trainer.global_step}: image {batch_idx + 1}"
        )

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._advance(EVALUATION, f"evaluation: image {batch_idx + 1}")

    def _advance(self, phase: str, words: str) -> None:
        if self._enabled:
            self._line.advance(phase, words)


def _processes(config: RunConfig) -> int:
    """Return how many processes share images; 1 where it is left to Lightning."""
    devices = str(config.devices)
    return config.num_nodes * (int(devices) if devices.isdecimal() and int(devices) else 1)

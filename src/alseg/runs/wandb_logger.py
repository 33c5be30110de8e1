"""The run on Weights & Biases: under which name and project, over which axis, and its end."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger

from alseg.config.commands import resume_command
from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig, dump_settings
from alseg.config.variants import name_by_itself
from alseg.distributed.processes import is_first_process
from alseg.errors import ConfigError
from alseg.labels import LabelStore
from alseg.runs.folder import RunFolder
from alseg.runs.wandb_account import logged_in
from alseg.runs.wandb_names import (
    FRACTION,
    PROJECT,
    VARIANT,
    stage_names,
    summary_figures,
)

log = logging.getLogger("alseg")


MORE_ROWS = 1000
"""More rows than a run logs beside those of its steps: rounds, validations, tests."""


class RunLogger(WandbLogger):
    """The logger of a run, whose config is that of its settings."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Keep out the parameters of the network, which are settings that it may have adjusted."""


def wandb_logger(config: RunConfig, folder: RunFolder) -> WandbLogger:
    """Return the logger of a run, which starts nothing yet.

    Runs lie in one project, in the group of their experiment, with the protocol as job type and
    the strategy as tag. A resumed run goes on under the same id.

    Nobody logged in and no ``WANDB_MODE`` set means offline: the run lies in the run folder and
    ``wandb sync`` sends it later.
    """
    active = PROTOCOLS[config.protocol].active
    settings = dump_settings(config)
    identity = folder.summary.wandb_id or secrets.token_hex(4)
    folder.summary.wandb_id = identity
    return RunLogger(
        id=identity,
        resume="allow",
        name=folder.path.name,
        project=config.wandb_project or PROJECT,
        save_dir=folder.absolute,
        mode=_mode(folder),
        group=config.experiment,
        tags=[config.strategy] if active else [],
        job_type=config.protocol,
        config={**settings, VARIANT: name_by_itself(settings)},
    )


def _mode(folder: RunFolder) -> str | None:
    """Return ``offline`` where nobody is logged in; None leaves the choice to wandb's settings."""
    if not is_first_process() or "WANDB_MODE" in os.environ or logged_in():
        return None
    log.info(
        "wandb: nobody is logged in, so the run is kept offline. After `wandb login`, send it "
        "with: wandb sync %s",
        f"{shlex.quote(str(folder.path / 'wandb'))}/offline-run-*",
    )
    return "offline"


@contextmanager
def open_run(
    loggers: Sequence[Logger], config: RunConfig, folder: RunFolder, classes: Sequence[str]
) -> Iterator[None]:
    """Keep the run open while the body runs; at its end send the figures of the run's summary.

    Under several processes it is the first that has the run.

    Args:
        loggers: The loggers of the trainer, that of the run among them.
        config: The settings of the run.
        folder: The run's folder, claimed.
        classes: The names of the classes.

    Raises:
        ConfigError: The server does not take the run.
    """
    logger = next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)
    if logger is None or not is_first_process():
        yield
        return
    # Whatever happens from here on, the run goes on under this id.
    given = str(logger.version)
    folder.summary.wandb_id = given
    folder.record()
    try:
        run = logger.experiment
    except wandb.Error as error:
        raise ConfigError(
            f"Weights & Biases does not take the run: {error}. Set WANDB_MODE=offline to keep it "
            f"on this machine, and go on with `{resume_command(folder.path)}`."
        ) from error
    if run.id != given:
        # The agent of a sweep has given it another id.
        folder.summary.wandb_id = run.id
        folder.record()
    # Each by its name: the logger has a pattern for all names already, and where two patterns fit
    # either may be taken.
    run.define_metric(FRACTION)
    for stage in ("val", "test"):
        for name in stage_names(stage, classes):
            run.define_metric(name, step_metric=FRACTION)
    # An offline run that goes on would begin at step 0 again, over the rows that are there. One
    # that is killed does not say where it was: it is taken to have logged a row at every step.
    step = max(run.step, folder.summary.wandb_step)
    folder.summary.wandb_step = step + config.steps + MORE_ROWS
    folder.record()
    run.log({FRACTION: _fraction(config, folder)}, step=step, commit=True)
    status = 1
    try:
        yield
        status = 0
    finally:
        run.summary.update(summary_figures(folder.summary))
        reached = run.step
        run.finish(exit_code=status)
        folder.summary.wandb_step = reached
        folder.record()


def _fraction(config: RunConfig, folder: RunFolder) -> float:
    """Return the share of labelled pixels that the run begins or goes on with."""
    if PROTOCOLS[config.protocol].all_target_labels:
        return 1.0
    if LabelStore.exists(folder.labels):
        return LabelStore.open(folder.labels).labelled_fraction
    return 0.0

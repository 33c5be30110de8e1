"""How the processes of a run are started, and how they find each other."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import ParallelStrategy

from alseg.config.run import RunConfig
from alseg.distributed.processes import RANK_VARIABLES, is_orphan
from alseg.distributed.stop_together import StopTogether, end_process
from alseg.errors import ConfigError

LAUNCH_SECONDS = 300.0
"""How long a process waits for the others to start; reading PyTorch from shared storage for the
first time can take minutes."""


def meet(config: RunConfig, stop: StopTogether) -> None:
    """Wait for the other processes of the run where a launcher has started them all.

    Whatever fails on one of them from here on ends all. The processes that Lightning itself starts
    meet the first one, which started them, in the same way.

    Raises:
        ConfigError: As many processes as the settings ask for were not started.
    """
    started = _launched()
    if config.num_nodes > 1 and not any(name in os.environ for name in RANK_VARIABLES):
        raise ConfigError(
            f"The settings ask for {config.num_nodes} machines (num_nodes), but no launcher has "
            "started this process. Start it with torchrun or srun on all of them, or use this "
            "machine alone with --num-nodes 1."
        )
    trainer = new_trainer(config, logger=False, enable_checkpointing=False)
    asked = trainer.num_devices * trainer.num_nodes
    if started not in (None, asked):
        raise ConfigError(
            f"The launcher started {started} process{'' if started == 1 else 'es'} in all, but the "
            f"settings ask for {asked} (devices={config.devices}, "
            f"num_nodes={config.num_nodes}). --num-nodes takes the number of machines, and "
            "--devices the processes that torchrun or srun starts on each of them."
        )
    strategy = trainer.strategy
    if not isinstance(strategy, ParallelStrategy) or strategy.cluster_environment is None:
        return
    if strategy.cluster_environment.creates_processes_externally:
        with _waiting():
            strategy.setup_environment()
        stop.watch(trainer.global_rank, trainer.world_size)


def new_trainer(config: RunConfig, **options: Any) -> L.Trainer:
    """Return a trainer on the devices that the settings ask for.

    Args:
        config: The settings.
        **options: What else ``Trainer`` takes.

    Raises:
        ConfigError: There are no such devices, or the settings do not go together.
    """
    several = config.devices not in (1, "1", "auto") or config.num_nodes > 1
    try:
        return L.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy="ddp" if several else "auto",
            precision=config.precision,
            **options,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(f"The trainer cannot be set up as asked: {error}") from error


def _launched() -> int | None:
    """Return how many processes torchrun or srun started; None if neither did."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    if SLURMEnvironment.detect():
        # In a batch script without srun there is one process, however many tasks were reserved.
        return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    return None


@contextmanager
def _waiting() -> Iterator[None]:
    """Give up after a while, or at once where the process that started this one is gone."""
    met = threading.Event()

    def look() -> None:
        end = time.monotonic() + LAUNCH_SECONDS
        while not met.wait(1.0):
            if is_orphan():
                end_process("The first process is gone. This process ends too.")
            if time.monotonic() > end:
                end_process(
                    f"Not all processes of the run were there within {LAUNCH_SECONDS:g} s. See "
                    "what the others say, and start all of them again."
                )

    threading.Thread(target=look, name="meeting", daemon=True).start()
    try:
        yield
    finally:
        met.set()

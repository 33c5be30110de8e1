"""The parts of a run, as its settings say: network, data, trainer, callbacks and loggers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from torch import Tensor

from alseg.active import ActiveLoop, People
from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig
from alseg.config.run_files import BEST, LAST, METRICS
from alseg.data.module import SegmentationDataModule
from alseg.errors import WeightsError
from alseg.labels import RoundResult
from alseg.labels.region_shape import region_of
from alseg.models import Network, Optimization
from alseg.runs.checkpoint import DurableCheckpoints, StopBetweenSteps
from alseg.runs.domains import Domains
from alseg.runs.folder import RunFolder
from alseg.runs.launch import new_trainer
from alseg.runs.progress import RunProgress
from alseg.training.module import SegmentationModule
from alseg.training.terms import loss_settings
from alseg.training.unlabelled import Unlabelled

log = logging.getLogger("alseg")

OnRound = Callable[[int, RoundResult, Mapping[int, Tensor]], None]
"""Called after a round with its number, its result and the score maps that were kept."""


def new_module(config: RunConfig, domains: Domains, protocol: str) -> SegmentationModule:
    """Return the network with what trains it.

    Raises:
        WeightsError: The encoder's weights cannot be had.
    """
    of = {entry.name: getattr(config, entry.name) for entry in fields(config)}
    of["encoder_weights"] = config.encoder_weights or "imagenet"
    network = Network(
        **{entry.name: of[entry.name] for entry in fields(Network) if entry.name in of},
        in_channels=domains.target.channels,
    )

    # The start on the source has no target pixels.
    learns = PROTOCOLS[protocol].active
    unlabelled = Unlabelled(**{e.name: of[e.name] for e in fields(Unlabelled)} if learns else {})

    def built(network: Network) -> SegmentationModule:
        return SegmentationModule(
            domains.target.label_space,
            network=network,
            protocol=protocol,
            losses={name: of[name] for name in loss_settings({})},
            unlabelled=unlabelled,
            optimization=Optimization(**{e.name: of[e.name] for e in fields(Optimization)}),
            flip=config.flip,
            eval_size=config.eval_size or config.size,
            seed=config.seed,
        )

    try:
        return built(network)
    except WeightsError as error:
        if config.encoder_weights is not None or not _only_scenes(config):
            raise
        log.warning("%s Training starts from random weights.", str(error).split(". ")[0] + ".")
        return built(replace(network, encoder_weights="none"))


def _only_scenes(config: RunConfig) -> bool:
    return config.source.startswith("scenes:") and config.target.startswith("scenes:")


def new_data(config: RunConfig, domains: Domains) -> SegmentationDataModule:
    """Return what loads the images of a run."""
    return SegmentationDataModule(
        source=domains.source,
        target=domains.target,
        val=domains.chosen or domains.reported,
        test=domains.reported,
        size=config.size,
        source_size=config.source_size,
        crop=config.crop,
        random_scale=config.random_scale,
        eval_size=config.eval_size,
        augmentation=config.augmentation,
        batch_size=config.batch_size,
        workers=config.workers,
        seed=config.seed,
    )


def new_loop(
    config: RunConfig,
    folder: RunFolder,
    on_round: Sequence[OnRound],
    partial: bool,
    progress: RunProgress,
) -> ActiveLoop | None:
    """Return what asks for labels; None where the protocol asks for none.

    Args:
        config: The settings of the run.
        folder: Its folder.
        on_round: What is told of every round, one after the other.
        partial: Whether to continue although people have not answered all queries of a round.
        progress: What follows the run.
    """
    if not PROTOCOLS[config.protocol].active:
        return None

    def tell(number: int, result: RoundResult, scores: Mapping[int, Tensor]) -> None:
        folder.book()
        for listener in on_round:
            listener(number, result, scores)

    people = People(folder.path, config.mixed, partial)
    return ActiveLoop(
        config.strategy,
        config.budget,
        strategy_options=config.strategy_options,
        rounds=config.rounds,
        round_steps=config.round_steps,
        region=region_of(config),
        scope=config.scope,
        annotator=people if config.annotator == "manual" else None,
        store=folder.labels,
        seed=config.seed,
        checkpoint=folder.checkpoints / LAST,
        on_round=tell,
        keep_scores=config.pictures,
        progress=config.progress and progress.scoring,
    )


def new_callbacks(
    config: RunConfig, domains: Domains, folder: RunFolder, loop: ActiveLoop | None
) -> list[Callback]:
    """Return the callbacks of the training under the protocol."""
    callbacks: list[Callback] = [] if loop is None else [loop]
    if config.validate_every is not None and domains.chosen is not None:
        callbacks.append(
            ModelCheckpoint(
                folder.checkpoints,
                filename=Path(BEST).stem,
                monitor="val/mIoU",
                mode="max",
                enable_version_counter=False,
            )
        )
    validating = config.validate_every if domains.chosen or domains.reported else None
    return [*callbacks, *saving(folder, LAST, config.steps, validating)]


def saving(
    folder: RunFolder, name: str, steps: int, validate_every: int | None = None
) -> list[Callback]:
    """Return what saves the training as one file: now and then, and when it is to end."""
    now_and_then = ModelCheckpoint(
        folder.checkpoints,
        filename=Path(name).stem,
        every_n_train_steps=max(1, min(500, steps // 4)),
        enable_version_counter=False,
    )
    return [now_and_then, StopBetweenSteps(folder.checkpoints / name, validate_every)]


def run_trainer(
    config: RunConfig, folder: RunFolder, part: str, steps: int, callbacks: list[Callback]
) -> L.Trainer:
    """Return the trainer of a part of a run: ``source-start`` or ``training``."""
    validating = config.validate_every is not None and part == "training"
    return new_trainer(
        config,
        max_steps=steps,
        max_epochs=-1,
        check_val_every_n_epoch=None,
        val_check_interval=config.validate_every if validating else None,
        limit_val_batches=None if validating else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
        callbacks=callbacks,
        plugins=DurableCheckpoints(folder),
        logger=_loggers(config, folder, part),
        default_root_dir=folder.absolute,
        enable_progress_bar=config.progress,
        enable_model_summary=False,
    )


def _loggers(config: RunConfig, folder: RunFolder, part: str) -> list[Logger]:
    earlier = len(list(folder.metrics.glob(f"{part}-*")))
    loggers: list[Logger] = [
        CSVLogger(folder.absolute, name=METRICS, version=f"{part}-{earlier + 1}")
    ]
    if config.logger == "wandb" and part == "training":
        # wandb takes a second to import, which runs without it need not wait for.
        from alseg.runs.wandb_logger import wandb_logger

        loggers.append(wandb_logger(config, folder))
    return loggers


def logged_elsewhere(
    config: RunConfig, folder: RunFolder, trainer: L.Trainer, domains: Domains
) -> AbstractContextManager[None]:
    """Return what keeps the run open on Weights & Biases, if it is logged there."""
    if config.logger != "wandb":
        return nullcontext()
    from alseg.runs.wandb_logger import open_run

    return open_run(trainer.loggers, config, folder, domains.target.label_space.classes)

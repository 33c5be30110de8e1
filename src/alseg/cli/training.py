"""The body of ``alseg fit``: data, network, trainer and active loop put together."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger

from alseg.active import ActiveLoop
from alseg.cli.checkpoint import DurableCheckpoints, check_resumable, read_checkpoint
from alseg.cli.domains import Domains, open_domains
from alseg.cli.launch import meet, new_trainer
from alseg.cli.round_pictures import RoundPictures
from alseg.cli.run_folder import RunFolder, is_first_process
from alseg.cli.summary import summary_text
from alseg.config import RunConfig
from alseg.data.module import SegmentationDataModule
from alseg.errors import WeightsError
from alseg.module import SegmentationModule
from alseg.ranks import seen
from alseg.stop_together import StopTogether
from alseg.terms import PROTOCOLS

log = logging.getLogger("alseg")


def fit_run(config: RunConfig) -> str:
    """Train as a run's settings say, asking for labels on the way, and report.

    A run has up to three parts: a start on the source alone, its evaluation, and the training
    under the protocol with its evaluation. A run that is resumed skips what is finished.

    Returns:
        The summary to show to a person; empty on all ranks but the first.
    """
    with StopTogether() as stop:
        meet(config, stop)
        return _fit_run(config, stop)


def _fit_run(config: RunConfig, stop: StopTogether) -> str:
    domains = open_domains(config)
    L.seed_everything(config.seed, verbose=False)
    folder = RunFolder.of(config)
    # A run that is resumed has its network in a checkpoint, unless it was killed before the first.
    begun = any((folder.checkpoints / name).is_file() for name in ("last.ckpt", "source.ckpt"))
    finished = {"before", "after"} <= folder.summary.keys()
    # What is refused is refused before anything in the folder changes.
    step = 0 if finished else _check_checkpoints(config, folder)
    known = replace(config, encoder_weights="none") if begun else config
    module = _module(known, domains, config.protocol)
    if config.init_from is not None and not begun:
        load_weights(module, config.init_from)
    pictures = RoundPictures(domains.target, folder, config.pictures)
    loop = _active_loop(config, folder, pictures)
    if loop is not None:
        loop.check(module, domains.target, config.steps)
        if is_first_process():
            loop.check_store(module, domains.target, step)
    data = _data_module(config, domains)
    data.check_sizes(PROTOCOLS[config.protocol].domains)
    callbacks = [stop, *_callbacks(config, domains, folder, loop)]
    trainer = _trainer(config, folder, "training", config.steps, callbacks)
    with folder.claimed(config):
        log.info("run folder: %s", folder.path)
        if "after" in folder.summary:
            log.info("This run had ended already; nothing is trained again.")
        if not finished:
            _start(config, domains, module, folder, stop)
        pictures.loggers = trainer.loggers
        if "before" not in folder.summary:
            with folder.phase("evaluation"):
                folder.record(before=_test(trainer, module, data))
        if "after" not in folder.summary:
            last = folder.checkpoints / "last.ckpt"
            with folder.phase("training"):
                _fit(trainer, module, data, last, folder)
                trainer.save_checkpoint(last)
            if loop is not None:
                folder.add_seconds("training", -loop.seconds)
                folder.add_seconds("asking for labels", loop.seconds)
                folder.record(labels=_spent(loop))
            with folder.phase("evaluation"):
                figures = {"after": _test(trainer, module, data)}
                best = folder.checkpoints / "best.ckpt"
                if seen(best):
                    chosen = SegmentationModule.load_from_checkpoint(best, map_location="cpu")
                    figures["best"] = _test(trainer, chosen, data)
                folder.record(**figures)
        if config.logger == "wandb":
            from alseg.cli.wandb_logger import finish

            finish()
        return summary_text(folder, config, domains.reported) if trainer.is_global_zero else ""


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep advice for people who write training scripts from people who run a command."""
    logs = [logging.getLogger(f"lightning.{part}") for part in ("fabric", "pytorch")]
    levels = [part.level for part in logs]
    for part in logs:
        part.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for part, level in zip(logs, levels, strict=True):
            part.setLevel(level)


def _module(config: RunConfig, domains: Domains, protocol: str) -> SegmentationModule:
    settings: dict[str, Any] = {
        name: getattr(config, name)
        for name in (
            "architecture",
            "encoder",
            "head",
            "hyperbolic_dim",
            "curvature",
            "reweighting",
            "optimizer",
            "learning_rate",
            "head_lr_factor",
            "weight_decay",
            "momentum",
            "warmup_steps",
            "poly_power",
            "decay_steps",
            "source_weight",
            "target_weight",
            "consistency_weight",
            "negative_weight",
            "negative_threshold",
            "flip",
            "seed",
        )
    }
    settings["eval_size"] = config.eval_size or config.size
    space = domains.target.label_space
    weights = config.encoder_weights or "imagenet"
    try:
        return SegmentationModule(space, protocol=protocol, encoder_weights=weights, **settings)
    except WeightsError as error:
        if config.encoder_weights is not None or not _only_scenes(config):
            raise
        log.warning("%s Training starts from random weights.", str(error).split(". ")[0] + ".")
        return SegmentationModule(space, protocol=protocol, encoder_weights="none", **settings)


def _only_scenes(config: RunConfig) -> bool:
    return config.source.startswith("scenes:") and config.target.startswith("scenes:")


def _check_checkpoints(config: RunConfig, folder: RunFolder) -> int:
    """Check the checkpoints that a run goes on from, and return the step it goes on at.

    Raises:
        WeightsError: One is damaged; the message says how to go on without it.
    """
    names = ["best.ckpt", "last.ckpt"]
    if _starts_on_source(config):
        started = (folder.checkpoints / "source.ckpt").exists()
        names.insert(0, "source.ckpt" if started else "source-last.ckpt")
    paths = (folder.checkpoints / name for name in names)
    steps = {path.name: check_resumable(path) for path in paths if path.exists()}
    return steps.get("last.ckpt", 0)


def _starts_on_source(config: RunConfig) -> bool:
    uses_source = PROTOCOLS[config.protocol].uses_source
    return config.init_from is None and uses_source and config.warm_start_steps > 0


def _start(
    config: RunConfig,
    domains: Domains,
    module: SegmentationModule,
    folder: RunFolder,
    stop: StopTogether,
) -> None:
    """Give the module the weights that the training under the protocol starts from."""
    if not _starts_on_source(config):
        return
    start = folder.checkpoints / "source.ckpt"
    if not start.exists():
        with folder.phase("source start"):
            learner = _module(replace(config, decay_steps=None), domains, "source_only")
            saved = _checkpoint(folder, "source-last", config.warm_start_steps)
            steps = config.warm_start_steps
            trainer = _trainer(config, folder, "source-start", steps, [stop, saved])
            data = _data_module(replace(config, validate_every=None), domains)
            last = folder.checkpoints / "source-last.ckpt"
            _fit(trainer, learner, data, last, folder)
            trainer.save_checkpoint(start)
            if trainer.is_global_zero:
                last.unlink(missing_ok=True)
    seen(start)
    load_weights(module, start)


def load_weights(module: SegmentationModule, path: str | Path) -> None:
    """Load the network of a checkpoint into a module.

    Raises:
        WeightsError: There is no such checkpoint, or its network is another one.
    """
    checkpoint = read_checkpoint(path)
    prefix = "segmenter."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        module.segmenter.load_state_dict(weights)
    except RuntimeError as error:
        theirs, ours = checkpoint["hyper_parameters"], module.hparams
        differing = [
            f"{name} is {theirs.get(name)} there and {ours[name]} here"
            for name in ("architecture", "encoder", "head", "hyperbolic_dim")
            if theirs.get(name) != ours[name]
        ]
        if theirs["label_space"]["classes"] != ours["label_space"]["classes"]:
            differing.append(
                f"its classes are {', '.join(theirs['label_space']['classes'])} there and "
                f"{', '.join(ours['label_space']['classes'])} here"
            )
        raise WeightsError(
            f"The network of {path} is another one: {'; '.join(differing) or error}. "
            "Name a checkpoint of the same network, or start with the settings of that one."
        ) from error


def _data_module(config: RunConfig, domains: Domains) -> SegmentationDataModule:
    return SegmentationDataModule(
        source=domains.source,
        target=domains.target,
        val=domains.chosen or domains.reported,
        test=domains.reported,
        size=config.size,
        source_size=config.source_size,
        crop=config.crop,
        eval_size=config.eval_size,
        augmentation=config.augmentation,
        batch_size=config.batch_size,
        workers=config.workers,
        seed=config.seed,
    )


def _active_loop(
    config: RunConfig, folder: RunFolder, pictures: RoundPictures
) -> ActiveLoop | None:
    if not PROTOCOLS[config.protocol].active:
        return None
    return ActiveLoop(
        config.strategy,
        config.budget,
        strategy_options=config.strategy_options,
        rounds=config.rounds,
        round_steps=config.round_steps,
        radius=config.radius,
        exclusion_radius=config.exclusion_radius,
        scope=config.scope,
        store=folder.labels,
        seed=config.seed,
        checkpoint=folder.checkpoints / "last.ckpt",
        on_round=pictures,
        keep_scores=config.pictures,
        progress=config.progress,
    )


def _callbacks(
    config: RunConfig, domains: Domains, folder: RunFolder, loop: ActiveLoop | None
) -> list[Callback]:
    callbacks: list[Callback] = [] if loop is None else [loop]
    if config.validate_every is not None and domains.chosen is not None:
        callbacks.append(
            ModelCheckpoint(
                folder.checkpoints,
                filename="best",
                monitor="val/mIoU",
                mode="max",
                enable_version_counter=False,
            )
        )
    return [*callbacks, _checkpoint(folder, "last", config.steps)]


def _checkpoint(folder: RunFolder, name: str, steps: int) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder.checkpoints,
        filename=name,
        every_n_train_steps=max(1, min(500, steps // 4)),
        enable_version_counter=False,
    )


def _trainer(
    config: RunConfig, folder: RunFolder, part: str, steps: int, callbacks: list[Callback]
) -> L.Trainer:
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
        default_root_dir=folder.path,
        enable_progress_bar=config.progress,
        enable_model_summary=False,
    )


def _loggers(config: RunConfig, folder: RunFolder, part: str) -> list[Logger]:
    metrics = folder.path / "metrics"
    earlier = len(list(metrics.glob(f"{part}-*")))
    loggers: list[Logger] = [
        CSVLogger(folder.path, name="metrics", version=f"{part}-{earlier + 1}")
    ]
    if config.logger == "wandb" and part == "training":
        # wandb takes a second to import, which runs without it need not wait for.
        from alseg.cli.wandb_logger import wandb_logger

        loggers.append(wandb_logger(config, folder))
    return loggers


def _fit(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: SegmentationDataModule,
    last: Path,
    folder: RunFolder,
) -> None:
    """Train from the last checkpoint, if there is one; say how to go on when interrupted."""
    try:
        with folder.writing():
            trainer.fit(module, data, ckpt_path=last if last.exists() else None)
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        log.warning("Stopped. Go on with: alseg fit --resume %s", folder.path)
        raise KeyboardInterrupt from stop


def _spent(loop: ActiveLoop) -> dict[str, Any]:
    store = loop.store
    return {
        "regions": store.regions,
        "asked_pixels": store.asked_pixels,
        "void_pixels": store.void_pixels,
        "labelled_fraction": store.labelled_fraction,
        "shortfall": f"{loop.shortfall:,} {loop.budget.unit}" if loop.shortfall else "",
    }


def _test(
    trainer: L.Trainer, module: SegmentationModule, data: SegmentationDataModule
) -> dict[str, float | None]:
    """Return the figures on the reported images; None for a class that never occurs."""
    figures = trainer.test(module, data, verbose=False)[0]
    return {
        name.removeprefix("test/"): None if math.isnan(value) else float(value)
        for name, value in figures.items()
    }

"""The body of ``alseg fit``: a start on the source, training under the protocol, evaluations."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from alseg.active import ActiveLoop
from alseg.config.commands import resume_command
from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig, checked_strategy
from alseg.config.run_files import BEST, LAST, SOURCE, SOURCE_LAST
from alseg.data.module import SegmentationDataModule
from alseg.data.names import check_apart
from alseg.distributed import interruption
from alseg.distributed.processes import is_first_process
from alseg.distributed.ranks import seen
from alseg.distributed.stop_together import StopTogether
from alseg.errors import AnswersNeeded, WeightsError
from alseg.queries.next_step import how_to_answer
from alseg.runs.checkpoint import check_resumable, read_checkpoint
from alseg.runs.domains import Domains, open_domains
from alseg.runs.folder import RunFolder
from alseg.runs.launch import meet
from alseg.runs.parts import (
    logged_elsewhere,
    new_callbacks,
    new_data,
    new_loop,
    new_module,
    run_trainer,
    saving,
)
from alseg.runs.progress import RunProgress
from alseg.runs.provenance import check_same_data, record_start
from alseg.runs.round_analysis import RoundAnalysis
from alseg.runs.round_pictures import RoundPictures
from alseg.runs.run_summary import EVALUATION, START, TRAINING, Evaluation, Labels, MostFrequent
from alseg.runs.summary import start_warning, summary_text
from alseg.training.module import SegmentationModule

log = logging.getLogger("alseg")


def fit_run(config: RunConfig, partial: bool = False) -> str:
    """Train as a run's settings say, asking for labels on the way, and report.

    A run has up to three parts: a start on the source alone, its evaluation, and the training
    under the protocol with its evaluation. A run that is resumed skips what is finished.

    Args:
        config: The settings of the run.
        partial: Whether to go on although people have not answered all queries of a round.

    Returns:
        The summary to show to a person, or what people have to do before it goes on; empty on all
        ranks but the first.
    """
    with StopTogether() as stop:
        meet(config, stop)
        return _fit_run(checked_strategy(config), partial, stop)


def _fit_run(config: RunConfig, partial: bool, stop: StopTogether) -> str:
    domains = open_domains(config)
    L.seed_everything(config.seed, verbose=False)
    folder = RunFolder.of(config, domains.names)
    # A run that is resumed has its network in a checkpoint, unless it was killed before the first.
    saved = (LAST, SOURCE, SOURCE_LAST)
    begun = any((folder.checkpoints / name).is_file() for name in saved)
    finished = folder.summary.finished
    # What is refused is refused before anything in the folder changes.
    step = 0 if finished else _check_checkpoints(config, folder)
    loaded = begun or config.init_from is not None
    known = replace(config, encoder_weights="none") if loaded else config
    module = new_module(known, domains, config.protocol)
    if config.init_from is not None and not begun:
        load_weights(module, config.init_from)
    pictures = RoundPictures(domains.target, folder, config.pictures)
    analysis = RoundAnalysis(domains.target, folder, module)
    data = new_data(config, domains)
    progress = RunProgress(config, domains, folder, step)
    loop = new_loop(config, folder, [progress.after_round, pictures, analysis], partial, progress)
    moved = [] if config.resume is None else folder.moved(config)
    check_same_data(folder, domains, moved)
    if loop is not None:
        loop.check(module, domains.target, config.steps)
        if is_first_process():
            if loop.annotator is not None and "target" in moved:
                loop.annotator.follow(domains.target)
            loop.check_store(module, data, step)
    if config.resume is None:
        for images in (domains.source, domains.target, domains.reported, domains.chosen):
            check_apart(folder.path, images)
    protocol = PROTOCOLS[config.protocol]
    # The start on the source comes before a training that may do without it.
    starting = {"source"} if domains.source is not None else set()
    trained = {*protocol.domains, *starting}
    data.check_images(sorted(trained), trained if protocol.all_target_labels else {"source"})
    callbacks = [stop, *progress.callbacks(TRAINING), *new_callbacks(config, domains, folder, loop)]
    trainer = run_trainer(config, folder, "training", config.steps, callbacks)
    logged = logged_elsewhere(config, folder, trainer, domains)
    with folder.claimed(config), logged, progress.open():
        log.info("run folder: %s", folder.path)
        interruption.say(f"Stopped. Resume with: {resume_command(folder.path)}")
        if folder.summary.after is not None:
            log.info("This run had ended already; nothing is trained again.")
        if not finished:
            record_start(folder, config, domains, trainer)
            _start(config, domains, module, folder, [stop, *progress.callbacks(START)])
        pictures.loggers = trainer.loggers
        if folder.summary.before is None:
            with folder.phase(EVALUATION):
                folder.summary.before = _test(trainer, module, data, folder)
                folder.record()
            if words := start_warning(folder.summary, config, module.label_space.classes):
                log.warning(words)
        if folder.summary.after is None:
            last = folder.checkpoints / LAST
            try:
                with folder.phase(TRAINING, None if loop is None else loop.seconds):
                    _fit(trainer, module, data, last, folder)
                    trainer.save_checkpoint(last)
            except AnswersNeeded as needed:
                return how_to_answer(folder.path, str(needed)) if trainer.is_global_zero else ""
            if loop is not None:
                folder.summary.labels = _spent(loop)
                folder.record()
            with folder.phase(EVALUATION):
                after, chosen = _test(trainer, module, data, folder), None
                best = folder.checkpoints / BEST
                if seen(best):
                    other = SegmentationModule.load_from_checkpoint(best, map_location="cpu")
                    # What the loggers have under "test" is of the last checkpoint.
                    trainer.loggers = []
                    chosen = _test(trainer, other, data, folder)
                folder.summary.after = after
                if chosen is not None:
                    folder.summary.best = chosen
                folder.record()
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


def _check_checkpoints(config: RunConfig, folder: RunFolder) -> int:
    """Check the checkpoints that a run goes on from, and return the step it goes on at.

    Raises:
        WeightsError: One is damaged; the message says how to go on without it.
    """
    names = [BEST, LAST]
    if config.starts_on_source:
        started = (folder.checkpoints / SOURCE).exists()
        names.insert(0, SOURCE if started else SOURCE_LAST)
    paths = (folder.checkpoints / name for name in names)
    steps = {path.name: check_resumable(path) for path in paths if path.exists()}
    return steps.get(LAST, 0)


def _start(
    config: RunConfig,
    domains: Domains,
    module: SegmentationModule,
    folder: RunFolder,
    watching: list[Callback],
) -> None:
    """Give the module the weights that the training under the protocol starts from."""
    if not config.starts_on_source:
        return
    start = folder.checkpoints / SOURCE
    if not start.exists():
        with folder.phase(START):
            last = folder.checkpoints / SOURCE_LAST
            weights = "none" if last.exists() else config.encoder_weights
            settings = replace(config, decay_steps=None, encoder_weights=weights)
            learner = new_module(settings, domains, "source_only")
            saved = saving(folder, SOURCE_LAST, config.warm_start_steps)
            steps = config.warm_start_steps
            trainer = run_trainer(config, folder, "source-start", steps, [*watching, *saved])
            data = new_data(replace(config, validate_every=None), domains)
            _fit(trainer, learner, data, last, folder)
            trainer.save_checkpoint(start)
            if trainer.is_global_zero:
                last.unlink(missing_ok=True)
        # Not on a start that was there before: the first rank may not have started the others yet.
        seen(start)
    load_weights(module, start)


def load_weights(module: SegmentationModule, path: str | Path) -> None:
    """Load the network of a checkpoint into a module: the one that it evaluates.

    Raises:
        WeightsError: There is no such checkpoint, or its network is another one.
    """
    checkpoint = read_checkpoint(path)
    prefix = "teacher.network."
    evaluate = checkpoint["hyper_parameters"].get("unlabelled", {}).get("evaluate")
    if evaluate == "student" or not any(
        name.startswith(prefix) for name in checkpoint["state_dict"]
    ):
        prefix = "segmenter."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        module.segmenter.load_state_dict(weights)
        if module.teacher is not None:
            module.teacher.restart(module.segmenter)
    except RuntimeError as error:
        theirs, ours = checkpoint["hyper_parameters"], module.settings
        network = theirs.get("network", {})
        differing = [
            f"{name} is {network.get(name)} there and {ours[name]} here"
            for name in ("architecture", "encoder", "head", "hyperbolic_dim")
            if network.get(name) != ours[name]
        ]
        classes = theirs["label_space"]["classes"]
        if classes != list(module.label_space.classes):
            differing.append(
                f"its classes are {', '.join(classes)} there and "
                f"{', '.join(module.label_space.classes)} here"
            )
        raise WeightsError(
            f"The network of {path} is another one: {'; '.join(differing) or error}. "
            "Name a checkpoint of the same network, or start with the settings of that one."
        ) from error


def _fit(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: SegmentationDataModule,
    last: Path,
    folder: RunFolder,
) -> None:
    """Train from the last checkpoint, if there is one."""
    with _interrupted(trainer), folder.writing():
        trainer.fit(module, data, ckpt_path=last if last.exists() else None)


@contextmanager
def _interrupted(trainer: L.Trainer) -> Iterator[None]:
    """Raise the interruption of a trainer, which it makes a SystemExit of."""
    try:
        yield
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from stop


def _spent(loop: ActiveLoop) -> Labels:
    store = loop.store
    return Labels(
        **({} if loop.annotator is None else loop.annotator.effort()),
        regions=store.regions,
        clicks=int(store.spent("clicks").sum()),
        asked_pixels=store.asked_pixels,
        void_pixels=store.void_pixels,
        labelled_fraction=store.labelled_fraction,
        shortfall=f"{loop.shortfall:,} {loop.budget.counts}" if loop.shortfall else "",
    )


def _test(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: SegmentationDataModule,
    folder: RunFolder,
) -> Evaluation:
    """Return the figures on the reported images."""
    if data.test is None:
        return Evaluation({})
    with _interrupted(trainer):
        figures = trainer.test(module, data, verbose=False)[0]
    if module.scores is not None and not math.isnan(module.scores.miou_of_most_frequent):
        folder.summary.most_frequent = MostFrequent(
            module.scores.most_frequent, module.scores.miou_of_most_frequent
        )
        folder.record()
    known = {name: None if math.isnan(value) else float(value) for name, value in figures.items()}
    return Evaluation({name.removeprefix("test/"): value for name, value in known.items()})

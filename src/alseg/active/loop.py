"""The callback that asks for labels between training steps."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from alseg.active.annotators import Annotator, OracleAnnotator
from alseg.active.choosing import Scored
from alseg.active.fitting import SignalStream, fit_strategy
from alseg.active.identity import identity, weights_of
from alseg.active.own_store import OwnStore
from alseg.active.request import RoundRequest, options_of
from alseg.active.requirements import (
    PoolData,
    check_calls,
    check_level,
    check_none_missing,
    check_one_loop,
    check_pool,
    check_signals,
    checked_data,
    classes_of,
    pool_images,
    source_of,
)
from alseg.active.round import Held, Round, spread
from alseg.active.scores import score_pool
from alseg.active.signals import PREVIOUS, PreviousNetwork, SignalSource, share_buffers
from alseg.config.budget import Budget, check_affordable
from alseg.config.run_files import LABELS
from alseg.config.schedule import check_counted_in_steps, round_schedule
from alseg.config.strategy_options import options_for
from alseg.data.base import Pool
from alseg.distributed import interruption, ranks
from alseg.errors import BudgetUnspent, ConfigError, PoolExhausted
from alseg.labels import LabelStore, RoundResult
from alseg.labels.region_shape import RegionShape, check_region
from alseg.labels.regions.windows import Windows
from alseg.labels.store import MAX_ROUNDS
from alseg.training.modes import evaluating
from alseg.training.trainer_options import check_layers, check_trainer
from alseg_strategies import Strategy, create, name_of


class ActiveLoop(L.Callback):
    """Spends a labelling budget on the pool, a round at a time, while a trainer trains.

    A round scores every pool image with the network as it is, selects regions, asks the annotator
    for their labels, and commits the answers to a label store from which training goes on. The
    strategy sees the network's signals, never a label.

    The trainer may train any module, fed by anything: the few methods that are called are those of
    ``Learner`` and ``PoolData``, which `SegmentationModule` and `SegmentationDataModule` have.

    Args:
        strategy: The name of a registered strategy, or a strategy.
        strategy_options: Options of a strategy that is given by name; its window radius follows
            ``region`` unless given here.
        budget: What the whole run may spend: ``0.01`` is a share of the pool's pixels,
            ``"40 regions"`` a number for each image, ``"20 images"`` or ``"500 clicks"`` a number
            in all.
        rounds: Number of rounds, spaced evenly over the training from step 0 on.
        round_steps: The steps before which the rounds take place, instead of ``rounds``.
        region: The shape of a region, such as ``Windows(radius=2)`` or ``WholeImage()``; what it
            leaves open the strategy decides. None takes windows of 3×3 pixels.
        scope: ``image`` gives every image the same share, ``pool`` takes the best regions of all.
        annotator: Who answers; None looks the answers up in the labels of the pool's data set.
            With `People` a round that is not answered ends the training with `AnswersNeeded`.
        store: The folder of the label store, which belongs to one run; None is ``labels`` in the
            trainer's ``log_dir``, or in the run's folder of `People`. A run that is resumed with
            ``trainer.fit(ckpt_path=...)`` finds its store again.
        seed: Of what a strategy draws at random.
        checkpoint: Where to save the training before each round, so that a killed run goes on
            with the same network; None saves nothing.
        on_round: Called on the first rank after a round with the number of the round, its result,
            the pool indices and score maps of ``keep_scores`` images.
        keep_scores: For how many images, spread over the pool, the score map is kept for
            ``on_round``.
        data: What feeds the training; None takes the trainer's data module.
        progress: Show a progress bar over the pool; or a function that the loader of the pool goes
            through on the first rank, to show progress in another way.

    Raises:
        BudgetError: The budget cannot be read.
        UnknownStrategy: No strategy has that name.
        ConfigError: The steps of the rounds are not in rising order or lie outside the training,
            the network lacks what the strategy needs, the trainer's parts do not fit, or a method
            is missing.
    """

    def __init__(
        self,
        strategy: str | Strategy,
        budget: str | float,
        *,
        strategy_options: Mapping[str, Any] | None = None,
        rounds: int = 5,
        round_steps: Sequence[int] | None = None,
        region: RegionShape | None = None,
        scope: str = "image",
        annotator: Annotator | None = None,
        store: str | Path | None = None,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        on_round: Callable[[int, RoundResult, Mapping[int, Tensor]], None] | None = None,
        keep_scores: int = 0,
        data: PoolData | None = None,
        progress: bool | Callable[[Iterable[Any]], Iterable[Any]] = True,
    ) -> None:
        region = Windows() if region is None else region
        if isinstance(strategy, str):
            chosen = options_for(strategy, strategy_options or {}, region.radius)
            self.name, self.strategy = strategy, create(strategy, **chosen)
        else:
            self.name, self.strategy = name_of(strategy), strategy
        self.budget = Budget.parse(budget)
        self.rounds = len(round_steps) if round_steps is not None else rounds
        self.round_steps = list(round_steps) if round_steps is not None else None
        # Before the strategy has looked at anything, which it keeps as attributes too.
        self._options = options_of(self.strategy)
        self.region = region.for_strategy(self.strategy)
        self.scope = scope
        self.annotator = annotator
        self.seed = seed
        self.checkpoint = checkpoint
        self.on_round = on_round
        self.keep_scores = keep_scores
        self.data = data
        self.progress = progress
        self.seconds = {"asking for labels": 0.0, "analysis": 0.0}
        self._own = OwnStore(None if store is None else Path(store))
        self._previous = PreviousNetwork(PREVIOUS in self.strategy.requires)
        self._in_use = 0
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ConfigError(f"A run has 1 to {MAX_ROUNDS} rounds, not {self.rounds}.")
        if annotator is not None and not isinstance(annotator, Annotator):
            raise ConfigError(
                f"annotator is a {type(annotator).__name__}; subclass alseg.active.Annotator and "
                "override its method label."
            )
        check_level(self.strategy, self.name, self.region)
        check_calls(self.strategy, self.name)
        check_region(self.region)
        self._request(1)

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be sent to spawned processes, whose rounds this one would not hear of."""
        raise ConfigError(
            "ActiveLoop cannot be sent to other processes, as the strategy 'ddp_spawn' does; "
            "allowed are 'auto' on one device, 'ddp' and 'ddp_find_unused_parameters_true'."
        )

    @property
    def store(self) -> LabelStore:
        """The label store; there once the trainer has set the callback up."""
        return self._store

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Open the label store and check that the parts fit, before anything is computed."""
        if stage != "fit":
            return
        self._fed_by = checked_data(trainer, pl_module, self.data)
        check_trainer(trainer)
        check_one_loop(trainer, pl_module, type(self))
        self.check(pl_module, self._fed_by.pool, trainer.max_steps)
        self._identity = identity(pl_module, self._fed_by)
        if trainer.global_step == 0:
            self._own.forget()
            self._previous.forget()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the label store: by now a checkpoint, if there is one, has said where it is."""
        module, data = pl_module, self._fed_by
        check_layers(trainer, module)
        # Every rank asks, since the trainer sends the first one's answer to all.
        logged = Path(trainer.log_dir or trainer.default_root_dir)
        run = None if self.annotator is None else self.annotator.run
        self._own.settle((run or logged) / LABELS)
        is_checked = self._own.is_checked
        images, classes = pool_images(data.pool), classes_of(module)
        with ranks.together():
            if trainer.is_global_zero and not is_checked:
                self.check_store(module, data)
            self._store = self._own.open(
                lambda: weights_of(module), data.pool, images, classes, check_start=not is_checked
            )

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write down where the label store is, and which weights the run started from.

        Where a strategy compares with the network of the round before, that is kept too.
        """
        self._own.write_into(checkpoint)
        self._previous.write_into(checkpoint)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Continue with the label store of the run, unless another is named."""
        self._own.read_from(checkpoint)
        self._previous.read_from(checkpoint)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Let other processes write to the store."""
        self._own.release()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Let other processes write to the store."""
        self._own.release()

    def check(self, module: L.LightningModule, pool: Pool, max_steps: int) -> None:
        """Check that network, pool and length of training fit, before anything is computed.

        Raises:
            BudgetError: The budget is not enough for a region.
            ConfigError: The network lacks what the strategy needs, the pool what the annotator
                calls, or the rounds do not fit.
            DatasetError: The oracle is to answer, and the pool has no labels; or names of images
                cannot be stored.
        """
        check_signals(self.strategy, self.name, module, {PREVIOUS})
        annotator = OracleAnnotator if self.annotator is None else self.annotator
        check_pool(pool, annotator.calls, annotator.name)
        images = pool_images(pool)
        regions = [self.region.largest_cost((image.height, image.width)) for image in images]
        check_affordable(self.budget, regions, sum(image.area for image in images))
        check_counted_in_steps(max_steps)
        self._steps = round_schedule(max_steps, self.rounds, self.round_steps)
        self._answers = self.annotator or OracleAnnotator.from_dataset(pool)

    def check_store(self, module: L.LightningModule, data: PoolData, step: int = 0) -> None:
        """Check that the label store, if there is one, is sound and this run's; writes nothing.

        To be called after ``check``.

        Args:
            module: The network.
            data: What it trains on.
            step: The step that training continues from.

        Raises:
            LabelStoreError: The store has another pool or other classes, was asked for with other
                settings, a file in it is damaged, or a round from before ``step`` is missing.
            AnswersMissing: People have not answered the round that is due.
        """
        self._identity = identity(module, data)
        images, classes = pool_images(data.pool), classes_of(module)
        held = self._own.check(images, classes, self._settings_of)
        check_none_missing(self._own.folder, held, self._steps, step)
        self._answers.check(held + 1)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Hold the rounds that are due at the step that training starts from."""
        self._hold_due_rounds(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Hold the round that is due after this step, if any."""
        if self._due(trainer) != self._in_use:
            self._hold_due_rounds(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Refuse a batch that says that its labels are not those of the current round."""
        seen, expected = _rounds_in(batch), self._due(trainer)
        if seen - {expected}:
            raise RuntimeError(
                f"A training batch holds target labels of round {sorted(seen)}, but the current "
                f"round is {expected}. Load batches again once use_labels was called: what was "
                "fetched ahead is of the round before."
            )

    def _due(self, trainer: L.Trainer) -> int:
        return sum(step <= trainer.global_step for step in self._steps)

    def _hold_due_rounds(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        module, data = pl_module, self._fed_by
        due = self._due(trainer)
        # As the first rank sees it: on shared storage the others may still see fewer rounds.
        held = ranks.gather(self._store.rounds)[0]
        for number in range(held + 1, due + 1):
            check_none_missing(self._own.folder, number - 1, self._steps, trainer.global_step)
            if self.checkpoint is not None and trainer.global_step:
                trainer.save_checkpoint(self.checkpoint)
            with self._timed("asking for labels"), interruption.at_once():
                result, kept = self._hold(number, trainer, module, data)
            if trainer.is_global_zero and self.on_round is not None:
                with self._timed("analysis"), interruption.at_once():
                    self.on_round(number, result, kept)
        if due and self._steps[due - 1] == trainer.global_step:
            self._previous.keep(module, due)
        elif due:
            self._previous.check(due)
        data.use_labels(self._store, due)
        self._in_use = due
        for logger in trainer.loggers:
            logger.log_metrics(
                {"labelled_fraction": self._store.labelled_fraction, "round": due},
                step=trainer.global_step,
            )

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - started

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Warn if the budget was not spent: the training ended early, or the pool was exhausted."""
        held = self._store.rounds
        if held < self.rounds and trainer.is_global_zero:
            unit = self.budget.unit
            due = self.budget.targets(self._store.areas, self.rounds, self.rounds).sum()
            spent = int(self._store.spent(unit).sum())
            warnings.warn(
                f"The training ended at step {trainer.global_step} of {trainer.max_steps}: "
                f"{held} of {self.rounds} rounds were held, and {spent:,} of {round(due):,} "
                f"{self.budget.counts} of the budget were spent. Resume it from its last "
                "checkpoint, without what ended it (max_time, max_epochs or an early stop).",
                BudgetUnspent,
                stacklevel=2,
            )
        if self.shortfall and trainer.is_global_zero:
            warnings.warn(
                f"The pool is exhausted: {self.shortfall:,} {self.budget.counts} of the budget "
                f"were not spent. {self.region.advice}",
                PoolExhausted,
                stacklevel=2,
            )

    @property
    def shortfall(self) -> int:
        """What the rounds held so far could not spend, in the unit of the budget.

        0 where regions may come back without an answer: an exhausted pool is reported when
        the queries are written.
        """
        if self._answers.declines:
            return 0
        held = self._store.rounds
        target = self.budget.targets(self._store.areas, held, self.rounds).sum()
        left = float(target - self._store.spent(self.budget.unit).sum())
        return round(left) if left > self._request(1).region_cost(self._store.images) / 2 else 0

    def _hold(
        self,
        number: int,
        trainer: L.Trainer,
        module: L.LightningModule,
        data: PoolData,
    ) -> Held:
        """Hold a round; return its result, and the score maps that were kept by pool index."""
        this = Round(
            self._request(number), self._store, self._answers, self._further(trainer.global_step)
        )
        keep = spread(len(data.pool.ids), self.keep_scores, trainer.world_size)
        return this.hold(self._scores(this.request, trainer, module, data), data.pool, keep)

    def _scores(
        self,
        request: RoundRequest,
        trainer: L.Trainer,
        module: L.LightningModule,
        data: PoolData,
    ) -> Iterator[Scored]:
        shown = self.progress and trainer.is_global_zero
        title = f"round {request.number} of {self.rounds}: scoring the pool" if shown else None
        share_buffers(module)
        previous = self._previous.signals_of(module, request.number)
        source = SignalSource(module, trainer.precision_plugin, previous)
        self._fit(request, source, data)
        loader: Iterable[Any] = data.pool_loader()
        if shown and callable(self.progress):
            loader, title = self.progress(loader), None
        for image in score_pool(source, loader, data.pool, self.strategy, request, title):
            if trainer.received_sigterm:
                raise SIGTERMException
            yield image

    def _fit(self, request: RoundRequest, source: SignalSource, data: PoolData) -> None:
        """Let the strategy look at source and pool, with the network as it is."""
        wanted, labelled = self.strategy.requires, source_of(data)
        pool = SignalStream(source, data.pool_loader, data.pool, wanted)
        seen = () if labelled is None else SignalStream(source, *labelled, wanted)
        with evaluating(source.module):
            fit_strategy(self.strategy, request, self._store, seen, pool)

    def _request(self, number: int) -> RoundRequest:
        return RoundRequest(
            number=number,
            rounds=self.rounds,
            budget=self.budget,
            region=self.region,
            scope=self.scope,
            seed=self.seed,
            strategy=self.name,
            strategy_options=self._options,
        )

    def _settings_of(self, number: int) -> dict[str, Any]:
        if number > self.rounds:
            return {}
        return {**self._request(number).settings(), **self._further(self._steps[number - 1])}

    def _further(self, step: int) -> dict[str, Any]:
        return {
            "annotator": self._answers.name,
            "step": step,
            "run": self._identity,
            "start": self._own.start,
        }


def _rounds_in(batch: Any) -> set[int]:
    """Return the rounds that the target labels of a batch are of, where it says so."""
    for part in (batch, batch.get("target")) if isinstance(batch, Mapping) else ():
        if isinstance(part, Mapping) and "round" in part:
            return set(torch.as_tensor(part["round"]).flatten().tolist())
    return set()

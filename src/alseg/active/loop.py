"""The callback that asks for labels between training steps."""

from __future__ import annotations

import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from filelock import BaseFileLock
from torch import Tensor, distributed
from tqdm import tqdm

from alseg import ranks
from alseg.active.acquisition import RoundResult, acquire_round, check_request
from alseg.active.annotators import Annotator, OracleAnnotator
from alseg.active.budget import Budget
from alseg.active.records import PoolImage
from alseg.active.scores import score_map
from alseg.active.store import MAX_ROUNDS, LabelStore
from alseg.data.base import SegmentationDataset
from alseg.data.module import SegmentationDataModule
from alseg.errors import ConfigError, LabelStoreError, PoolExhausted
from alseg.folder_lock import lock_folder
from alseg.module import SegmentationModule
from alseg.schedule import check_counted_in_steps, round_schedule
from alseg.strategy_options import options_for
from alseg_strategies import Strategy, create

LEVELS = ("pixel", "region")
NOT_OPTIONS = ("level", "requires")


class ActiveLoop(L.Callback):
    """Spends a labelling budget on the pool, a round at a time, while a trainer trains.

    A round scores every pool image with the network as it is, selects regions, asks the annotator
    for their labels, and commits the answers to a label store from which training goes on. The
    strategy sees the network's signals, never a label.

    Args:
        strategy: The name of a registered strategy, or a strategy.
        strategy_options: Options of a strategy that is given by name; its window radius follows
            ``radius`` unless given here.
        budget: What the whole run may spend: ``0.01`` is a share of the pool's pixels,
            ``"40 regions"`` a number for each image.
        rounds: Number of rounds, spaced evenly over the training from step 0 on.
        round_steps: The steps before which the rounds take place, instead of ``rounds``.
        radius: Window radius k of a region: its labels are asked for in a (2k+1)² window.
        exclusion_radius: Window radius around a pick in which no further pick is made; None is 2k.
        scope: ``image`` gives every image the same share, ``pool`` takes the best regions of all.
        annotator: Who answers; None looks the answers up in the labels of the pool's data set.
        store: The folder of the label store; None puts it into the trainer's ``default_root_dir``.
        seed: Of what a strategy draws at random.
        checkpoint: Where to save the training before each round, so that a killed run goes on
            with the same network; None saves nothing.
        on_round: Called on the first rank after a round with the number of the round, its result,
            the pool indices and score maps of ``keep_scores`` images.
        keep_scores: For how many images the score map is kept for ``on_round``.
        progress: Show a progress bar over the pool.

    Raises:
        BudgetError: The budget cannot be read.
        UnknownStrategy: No strategy has that name.
        ConfigError: The steps of the rounds are not in rising order or lie outside the training,
            the network lacks what the strategy needs, or the trainer's parts do not fit.
    """

    def __init__(
        self,
        strategy: str | Strategy,
        budget: str | float,
        *,
        strategy_options: Mapping[str, Any] | None = None,
        rounds: int = 5,
        round_steps: Sequence[int] | None = None,
        radius: int = 1,
        exclusion_radius: int | None = None,
        scope: str = "image",
        annotator: Annotator | None = None,
        store: str | Path | None = None,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        on_round: Callable[[int, RoundResult, Mapping[int, Tensor]], None] | None = None,
        keep_scores: int = 0,
        progress: bool = True,
    ) -> None:
        if isinstance(strategy, str):
            chosen = options_for(strategy, strategy_options or {}, radius)
            self.name, self.strategy = strategy, create(strategy, **chosen)
        else:
            self.name, self.strategy = type(strategy).__name__, strategy
        self.budget = Budget.parse(budget)
        self.rounds = len(round_steps) if round_steps is not None else rounds
        self.round_steps = list(round_steps) if round_steps is not None else None
        self.radius = radius
        self.exclusion_radius = 2 * radius if exclusion_radius is None else exclusion_radius
        self.scope = scope
        self.annotator = annotator
        self.folder = None if store is None else Path(store)
        self.seed = seed
        self.checkpoint = checkpoint
        self.on_round = on_round
        self.keep_scores = keep_scores
        self.progress = progress
        self.seconds = 0.0
        self._lock: BaseFileLock | None = None
        self._checked = False
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ConfigError(f"A run has 1 to {MAX_ROUNDS} rounds, not {self.rounds}.")
        check_request(scope, radius, self.exclusion_radius)
        if self.strategy.level not in LEVELS:
            raise ConfigError(
                f"The strategy {self.name} ranks by {self.strategy.level}; this loop asks for "
                f"regions and takes strategies that rank by {' or '.join(LEVELS)}."
            )

    @property
    def store(self) -> LabelStore:
        """The label store; there once the trainer has set the callback up."""
        return self._store

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Open the label store and check that the parts fit, before anything is computed."""
        if stage != "fit":
            return
        module, data = _parts(trainer, pl_module)
        self.check(module, data.pool, trainer.max_steps)
        if self.folder is None:
            self.folder = Path(trainer.default_root_dir) / "labels"
        with ranks.together():
            if trainer.is_global_zero:
                if not self._checked:
                    self.check_store(module, data.pool)
                self.folder.mkdir(parents=True, exist_ok=True)
                self._lock = lock_folder(self.folder)
                if not LabelStore.exists(self.folder):
                    images = pool_images(data.pool)
                    LabelStore.create(self.folder, images, module.label_space.classes)
            ranks.gather("the store is there")
            self._store = LabelStore.open(self.folder)
            self._store.attempt = ranks.gather(secrets.token_hex(4))[0]

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Let other processes write to the store."""
        self._release()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Let other processes write to the store."""
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def check(self, module: SegmentationModule, pool: SegmentationDataset, max_steps: int) -> None:
        """Check that network, pool and length of training fit, before anything is computed.

        Raises:
            ConfigError: The network lacks what the strategy needs, or the rounds do not fit.
            DatasetError: The oracle is to answer, and the pool has no labels.
        """
        _check_signals(self.strategy, module)
        check_counted_in_steps(max_steps)
        self._steps = round_schedule(max_steps, self.rounds, self.round_steps)
        self._answers = self.annotator or OracleAnnotator.from_dataset(pool)

    def check_store(
        self, module: SegmentationModule, pool: SegmentationDataset, step: int = 0
    ) -> None:
        """Check that the label store, if there is one, is sound and this run's; writes nothing.

        To be called after ``check``.

        Args:
            module: The network.
            pool: The pool.
            step: The step that training goes on from.

        Raises:
            LabelStoreError: The store has another pool or other classes, was asked for with other
                settings, a file in it is damaged, or a round from before ``step`` is missing.
        """
        if self.folder is None or not LabelStore.exists(self.folder):
            self._check_none_missing(0, step)
            return
        store = LabelStore.open(self.folder)
        store.check_pool(pool_images(pool), module.label_space.classes)
        self._check_same_run(store)
        store.check_files()
        self._check_none_missing(store.rounds, step)
        self._checked = True

    def _check_none_missing(self, held: int, step: int) -> None:
        for number in range(held + 1, sum(due <= step for due in self._steps) + 1):
            self._check_on_time(number, step)

    def _check_same_run(self, store: LabelStore) -> None:
        for number in range(1, store.rounds + 1):
            then = store.settings(number)
            now = self._settings(self._steps[number - 1]) if number <= self.rounds else {}
            differing = sorted(name for name in then if then[name] != now.get(name))
            if differing:
                raise LabelStoreError(
                    f"Round {number} of the label store {store.folder} was asked for by another "
                    f"run: {', '.join(f'{n} was {then[n]}, is {now.get(n)}' for n in differing)}. "
                    "Give this run a store of its own, or resume with the settings of that one."
                )

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
        if trainer.global_step in self._steps:
            self._hold_due_rounds(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Refuse a batch whose labels are not those of the current round."""
        seen = set(batch["target"]["round"].tolist())
        expected = self._due(trainer)
        if seen != {expected}:
            raise RuntimeError(
                f"A training batch holds target labels of round {sorted(seen)}, but the current "
                f"round is {expected}; feed the trainer through SegmentationDataModule."
            )

    def _due(self, trainer: L.Trainer) -> int:
        return sum(step <= trainer.global_step for step in self._steps)

    def _hold_due_rounds(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        module, data = _parts(trainer, pl_module)
        due = self._due(trainer)
        # As the first rank sees it: on shared storage the others may still see fewer rounds.
        held = ranks.gather(self._store.rounds)[0]
        for number in range(held + 1, due + 1):
            self._check_on_time(number, trainer.global_step)
            if self.checkpoint is not None and trainer.global_step:
                trainer.save_checkpoint(self.checkpoint)
            started = time.perf_counter()
            self._hold(number, trainer, module, data)
            self.seconds += time.perf_counter() - started
        data.use_labels(self._store, due)
        for logger in trainer.loggers:
            logger.log_metrics(
                {"labelled_fraction": self._store.labelled_fraction, "round": due},
                step=trainer.global_step,
            )

    def _check_on_time(self, number: int, step: int) -> None:
        scheduled = self._steps[number - 1]
        if step != scheduled:
            raise LabelStoreError(
                f"Round {number} is missing in {self.folder}, and training goes on from step "
                f"{step}, though the round belongs before step {scheduled}. Restore the round from "
                "a copy, or remove the run's checkpoints/last.ckpt and resume: training begins "
                "again, with the rounds that are there."
            )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Warn if the pool was exhausted before the budget was spent."""
        if self.shortfall and trainer.is_global_zero:
            warnings.warn(
                f"The pool is exhausted: {self.shortfall:,} {self.budget.unit} of the budget were "
                "not spent. A smaller exclusion radius leaves more to ask for.",
                PoolExhausted,
                stacklevel=2,
            )

    @property
    def shortfall(self) -> int:
        """What the rounds held so far could not spend, in the unit of the budget."""
        held = self._store.rounds
        target = self.budget.targets(self._store.areas, held, self.rounds).sum()
        left = float(target - self._store.spent(self.budget.unit).sum())
        return round(left) if left > self.budget.region_cost(self.radius) / 2 else 0

    def _hold(
        self,
        number: int,
        trainer: L.Trainer,
        module: SegmentationModule,
        data: SegmentationDataModule,
    ) -> None:
        _share_buffers(trainer, module)
        kept: dict[int, Tensor] = {}
        try:
            with ranks.together():
                if trainer.is_global_zero:
                    self._store.stage(number)
                ranks.gather("the round is staged")
                result = acquire_round(
                    self._scores(number, trainer, module, data, kept),
                    self._store,
                    budget=self.budget,
                    round_number=number,
                    rounds=self.rounds,
                    radius=self.radius,
                    exclusion_radius=self.exclusion_radius,
                    scope=self.scope,
                    annotator=self._answers,
                    gather=ranks.gather,
                )
                ranks.gather("all files are written")
                if trainer.is_global_zero:
                    self._store.commit(number, self._settings(trainer.global_step), result.images)
                ranks.gather("the round is committed")
                self._store.wait_for(number)
        except Exception:
            if trainer.is_global_zero:
                # What cannot be removed now is removed before the round is held again.
                with suppress(LabelStoreError):
                    self._store.tidy()
            raise
        if trainer.is_global_zero and self.on_round is not None:
            self.on_round(number, result, kept)

    @torch.no_grad()
    def _scores(
        self,
        number: int,
        trainer: L.Trainer,
        module: SegmentationModule,
        data: SegmentationDataModule,
        kept: dict[int, Tensor],
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield pool index and score map H×W of every image of this rank."""
        was_training = module.training
        module.eval()
        bar = tqdm(
            data.pool_loader(),
            desc=f"round {number} of {self.rounds}: scoring the pool",
            unit="image",
            leave=False,
            disable=not (self.progress and trainer.is_global_zero),
        )
        for batch in bar:
            for index, image, size in zip(
                batch["index"], batch["image"], batch["size"], strict=True
            ):
                pixels, names = image[None].to(module.device), [data.pool.ids[index]]
                signals = module.signals(pixels, size, names)
                drawn = np.random.SeedSequence([self.seed, number, index]).generate_state(1)
                generator = torch.Generator().manual_seed(int(drawn[0]))
                given = self.strategy.score(signals, generator)
                score = score_map(given, self.name, names[0], size)
                if len(kept) < self.keep_scores:
                    kept[index] = score.cpu()
                yield index, score
        module.train(was_training)

    def _settings(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "rounds": self.rounds,
            "seed": self.seed,
            "strategy": self.name,
            "strategy_options": {
                name: value
                for name, value in vars(self.strategy).items()
                if isinstance(value, (str, int, float, bool)) and name not in NOT_OPTIONS
            },
            "budget": self.budget.share or f"{self.budget.regions_per_image} regions",
            "scope": self.scope,
            "radius": self.radius,
            "exclusion_radius": self.exclusion_radius,
        }


def pool_images(pool: SegmentationDataset) -> list[PoolImage]:
    """Return what a label store keeps of the images of a data set."""
    return [PoolImage(image_id, *pool.size(index)) for index, image_id in enumerate(pool.ids)]


def _parts(
    trainer: L.Trainer, module: L.LightningModule
) -> tuple[SegmentationModule, SegmentationDataModule]:
    data = getattr(trainer, "datamodule", None)
    if not isinstance(module, SegmentationModule) or not isinstance(data, SegmentationDataModule):
        raise ConfigError(
            "ActiveLoop works with a SegmentationModule and a SegmentationDataModule; it got "
            f"{type(module).__name__} and {type(data).__name__}."
        )
    if not module.protocol.active:
        raise ConfigError(
            f"The protocol {module.hparams['protocol']!r} asks for no labels; leave ActiveLoop out "
            "or choose source_target, source_free or target_only."
        )
    return module, data


def _check_signals(strategy: Strategy, module: SegmentationModule) -> None:
    unknown = strategy.requires - {"logits", "radius"}
    if unknown or type(strategy).prepare is not Strategy.prepare:
        needed = ", ".join(sorted(unknown)) or "prepare"
        raise ConfigError(
            f"The strategy {type(strategy).__name__} needs {needed}, which this loop does not "
            "offer yet; it shows logits and, from a hyperbolic head, the radius."
        )
    if "radius" in strategy.requires and module.hparams["head"] != "hyperbolic":
        raise ConfigError(
            f"The strategy {type(strategy).__name__} looks at the hyperbolic radius, which a "
            f"{module.hparams['head']} head does not have; give the module head='hyperbolic'."
        )


def _share_buffers(trainer: L.Trainer, module: SegmentationModule) -> None:
    """Give every rank the batch-norm statistics of the first: only its own are in a checkpoint."""
    if trainer.world_size > 1:
        for buffer in module.segmenter.buffers():
            distributed.broadcast(buffer, src=0)

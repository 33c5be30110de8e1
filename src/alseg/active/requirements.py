"""What must be true before a round can be held, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from alseg.config.run_files import LAST_CHECKPOINT
from alseg.data.base import SegmentationDataset
from alseg.data.module import SegmentationDataModule
from alseg.data.names import check_storable
from alseg.errors import ConfigError, LabelStoreError
from alseg.labels.records import PoolImage
from alseg.training.module import SegmentationModule
from alseg_strategies import Strategy
from alseg_strategies.signals import HOW_TO_GET

LEVELS = ("pixel", "region")


def pool_images(pool: SegmentationDataset) -> list[PoolImage]:
    """Return what a label store keeps of the images of a data set.

    Raises:
        DatasetError: Their names cannot be stored, or not beside each other.
    """
    check_storable(pool.ids)
    return [PoolImage(image_id, *pool.size(index)) for index, image_id in enumerate(pool.ids)]


def parts_of(
    trainer: L.Trainer, module: L.LightningModule
) -> tuple[SegmentationModule, SegmentationDataModule]:
    """Return the module and the data module of a trainer that labels can be asked for in.

    Raises:
        ConfigError: They are of another kind, or their protocol asks for no labels.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(module, SegmentationModule) or not isinstance(data, SegmentationDataModule):
        raise ConfigError(
            "ActiveLoop works with a SegmentationModule and a SegmentationDataModule; it got "
            f"{type(module).__name__} and {type(data).__name__}."
        )
    if not module.protocol.active:
        raise ConfigError(
            f"The protocol {module.protocol.name!r} asks for no labels; leave ActiveLoop out "
            "or choose source_target, source_free or target_only."
        )
    return module, data


def check_one_loop(trainer: Any, module: L.LightningModule, kind: type[L.Callback]) -> None:
    """Check that nobody else asks for labels and that the trainer takes the optimiser's steps.

    Args:
        trainer: A ``lightning.Trainer``, which sets ``callbacks`` where mypy cannot see.
        module: What it trains.
        kind: The class of the loop.

    Raises:
        ConfigError: The trainer has two loops, or the module takes the steps itself.
    """
    loops = sum(isinstance(callback, kind) for callback in trainer.callbacks)
    if loops > 1:
        raise ConfigError(
            f"The callbacks hold {loops} ActiveLoops; a training takes one. Leave the others out."
        )
    if not module.automatic_optimization:
        raise ConfigError(
            "The module sets automatic_optimization to False; a run is counted in the trainer's "
            "optimiser steps, one per batch or accumulate_grad_batches. Leave it True."
        )


def check_level(strategy: Strategy, name: str) -> None:
    """Check that a strategy ranks what the loop asks for.

    Raises:
        ConfigError: It ranks something else.
    """
    if strategy.level not in LEVELS:
        raise ConfigError(
            f"The strategy {name} ranks by {strategy.level}; this loop asks for regions and takes "
            f"strategies that rank by {' or '.join(LEVELS)}."
        )


def check_signals(strategy: Strategy, name: str, module: SegmentationModule) -> None:
    """Check that a network offers what a strategy looks at.

    Args:
        strategy: The strategy.
        name: What to call it.
        module: The network.

    Raises:
        ConfigError: A signal is not offered; the message names it and how to get it.
    """
    missing = sorted(strategy.requires - module.offers)
    if missing:
        offered = ", ".join(sorted(module.offers))
        how = f": {HOW_TO_GET[missing[0]]}" if missing[0] in HOW_TO_GET else ""
        raise ConfigError(
            f"The strategy {name} looks at the signal {missing[0]!r}, which "
            f"{type(module).__name__} does not offer{how}. It offers {offered}."
        )


def check_none_missing(folder: Path | None, held: int, steps: Sequence[int], step: int) -> None:
    """Check that no round from before a step is missing.

    Args:
        folder: The label store.
        held: Rounds in it.
        steps: The steps before which the rounds take place.
        step: The step that training goes on from.

    Raises:
        LabelStoreError: One is missing, and its turn is over.
    """
    for number, scheduled in enumerate(steps[held:], start=held + 1):
        if scheduled < step:
            raise LabelStoreError(
                f"Round {number} is missing in {folder}, and training goes on from step {step}, "
                f"though the round belongs before step {scheduled}. Restore the round from a copy, "
                f"or remove the run's {LAST_CHECKPOINT} and resume: training begins again, with "
                "the rounds that are there."
            )

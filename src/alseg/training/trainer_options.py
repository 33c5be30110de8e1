"""Which options of a ``lightning.Trainer`` a run can be trained with; the others are refused."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import nn
from torch.func import functional_call

from alseg.config.schedule import check_counted_in_steps
from alseg.errors import ConfigError
from alseg.models.segmenter import Segmenter

PRECISIONS = ("32-true", "64-true", "bf16-true", "16-mixed", "bf16-mixed")


def check_trainer(trainer: Any) -> None:
    """Check that a trainer's options go together with a run that is counted in steps.

    Args:
        trainer: A ``lightning.Trainer``, which sets some of its attributes where mypy cannot see.

    Raises:
        ConfigError: One does not; the message names it, what was found and what is allowed.
    """
    if trainer.fast_dev_run:
        raise ConfigError(
            f"fast_dev_run is {trainer.fast_dev_run}: it would spend the budget of the run on a "
            "trial. Give the Trainer a small max_steps and the run a folder of its own instead."
        )
    if trainer.overfit_batches:
        raise ConfigError(
            f"overfit_batches is {trainer.overfit_batches}; it must be 0: every step of a run "
            "trains on images of its own, so no batch comes twice. Train on few images instead."
        )
    check_counted_in_steps(trainer.max_steps)
    if trainer.max_epochs == 0:
        raise ConfigError(
            "max_epochs is 0, so nothing would be trained. Leave it out, or give 1 or more: the "
            "whole run is one epoch."
        )
    if trainer.limit_train_batches == 0:
        raise ConfigError(
            "limit_train_batches is 0, so nothing would be trained. Leave it out, or give 1 or "
            "more batches."
        )
    if any(isinstance(part, GradientAccumulationScheduler) for part in trainer.callbacks):
        raise ConfigError(
            "The callbacks hold a GradientAccumulationScheduler; a run accumulates over the same "
            "number of batches in every step. Give the Trainer accumulate_grad_batches instead."
        )
    if trainer.precision not in PRECISIONS:
        raise ConfigError(f"precision is {trainer.precision}; allowed are {', '.join(PRECISIONS)}.")
    _check_strategy(trainer)


def _check_strategy(trainer: L.Trainer) -> None:
    strategy = trainer.strategy
    alone = isinstance(strategy, SingleDeviceStrategy)
    # What starts its processes by fork or spawn leaves the callbacks of the first one behind.
    by_script = type(strategy) is DDPStrategy and (
        strategy.launcher is None or "MultiProcessing" not in type(strategy.launcher).__name__
    )
    if not (alone or by_script):
        raise ConfigError(
            f"The strategy is {type(strategy).__name__}{_started_by(strategy)}; allowed are "
            "'auto' on one device, 'ddp' and 'ddp_find_unused_parameters_true'."
        )
    strict = (
        torch.are_deterministic_algorithms_enabled()
        and not torch.is_deterministic_algorithms_warn_only_enabled()
    )
    if strict and strategy.root_device.type == "cuda":
        raise ConfigError(
            "deterministic is True, but PyTorch has no deterministic cross-entropy of maps for "
            "CUDA; allowed are False and 'warn'."
        )


def _started_by(strategy: object) -> str:
    return " with spawned or forked processes" if isinstance(strategy, DDPStrategy) else ""


def check_batch_size(segmenter: Segmenter, batch_size: int, size: tuple[int, int]) -> None:
    """Check that batch normalisation can train on batches of a size; computes nothing.

    Args:
        segmenter: The network.
        batch_size: Images of each domain in a batch.
        size: Height and width of the training images.

    Raises:
        ConfigError: It cannot.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; it must be 1 or more.")
    if batch_size > 1:
        return
    network, was_training = segmenter.network, segmenter.training
    state = {name: tensor.to("meta") for name, tensor in network.state_dict().items()}
    padded = (-(-length // segmenter.stride) * segmenter.stride for length in size)
    images = torch.empty(1, segmenter.in_channels, *padded, device="meta")
    try:
        # On the meta device the layers look at shapes alone.
        segmenter.train()
        functional_call(network, state, images)
    except ValueError as error:
        raise ConfigError(
            "batch_size is 1; it must be 2 or more: this network normalises features of one "
            f"value per image over the batch ({error})."
        ) from error
    finally:
        segmenter.train(was_training)


def check_layers(trainer: L.Trainer, module: nn.Module) -> None:
    """Check that the layers that the trainer has put in place can be trained on its device.

    Raises:
        ConfigError: They cannot.
    """
    device = trainer.strategy.root_device.type
    if device != "cuda" and any(isinstance(part, nn.SyncBatchNorm) for part in module.modules()):
        raise ConfigError(
            f"sync_batchnorm is True, but the device is {device}: PyTorch synchronises batch "
            "normalisation on CUDA alone. Leave it out, or train on GPUs."
        )

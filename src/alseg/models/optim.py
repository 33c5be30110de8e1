"""The optimiser of a segmenter, Riemannian where parameters live on a manifold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import geoopt
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from alseg.errors import ConfigError
from alseg.models.segmenter import Segmenter

OPTIMIZERS = ("adam", "sgd")


class ResumableRiemannianAdam(geoopt.optim.RiemannianAdam):  # type: ignore[misc]
    """geoopt's Riemannian Adam whose saved state continues exactly as if never interrupted.

    It counts steps in a Python integer, which torch's Adam turns into a float32 tensor when a
    state is loaded; the bias corrections then differ in their last digits.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for values in self.state.values():
            values["step"] = int(values["step"])


@dataclass(frozen=True)
class Optimization:
    """How the weights are learnt: the optimiser and its schedule.

    Attributes:
        optimizer: ``adam`` or ``sgd``; with a hyperbolic head their Riemannian forms.
        learning_rate: Highest learning rate of the encoder.
        head_lr_factor: Decoder and head learn at ``learning_rate`` times this.
        weight_decay: Factor of the L2 penalty; not applied to points on the manifold.
        momentum: Of ``sgd``.
        warmup_steps: Steps in which the learning rate rises linearly from near 0.
        poly_power: Exponent of the polynomial decay that follows.
        decay_steps: The step at which the decay would reach 0; None is the last of the training.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-4
    head_lr_factor: float = 10.0
    weight_decay: float = 0.0
    momentum: float = 0.9
    warmup_steps: int = 0
    poly_power: float = 0.9
    decay_steps: int | None = None


def build_optimizer(
    segmenter: Segmenter, optimization: Optimization, others: Iterable[nn.Parameter] = ()
) -> Optimizer:
    """Return the optimiser of a segmenter's trainable parameters.

    The groups are ``encoder`` at the learning rate, ``head`` (decoder and head, all that starts
    from random weights, which RIPU and HALO call the classifier) at the multiplied rate, and, for
    a hyperbolic head, ``points``: its class points, which move by Riemannian steps at the head's
    rate and have no weight decay, since decay would pull them to the origin of the ball. A frozen
    encoder has no group.

    Weight decay is the L2 penalty that is added to the gradient (Adam, not AdamW), because the
    Riemannian optimisers know no other and the heads are meant to be comparable.

    Args:
        segmenter: What to train.
        optimization: The optimiser, its rates and its decay of weights.
        others: What is trained at the rate of the head besides, such as that of a loss term.

    Raises:
        ConfigError: The name is unknown.
    """
    name, lr = optimization.optimizer, optimization.learning_rate
    if name not in OPTIMIZERS:
        raise ConfigError(f"Unknown optimizer {name!r}; choose from {', '.join(OPTIMIZERS)}.")
    head = [p for p in (*segmenter.head_parameters(), *others) if p.requires_grad]
    points = [p for p in head if isinstance(p, geoopt.ManifoldParameter)]
    head = [p for p in head if not isinstance(p, geoopt.ManifoldParameter)]
    encoder = [p for p in segmenter.encoder_parameters() if p.requires_grad]
    head_lr = lr * optimization.head_lr_factor
    groups: list[dict[str, Any]] = [
        {"name": "encoder", "params": encoder, "lr": lr},
        {"name": "head", "params": head, "lr": head_lr},
        {"name": "points", "params": points, "lr": head_lr, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    common: dict[str, Any] = {"lr": lr, "weight_decay": optimization.weight_decay}
    if name == "sgd":
        common["momentum"] = optimization.momentum
        sgd: type[Optimizer] = geoopt.optim.RiemannianSGD if points else torch.optim.SGD
        return sgd(groups, **common)
    adam: type[Optimizer] = ResumableRiemannianAdam if points else torch.optim.Adam
    return adam(groups, **common)


def build_schedule(optimizer: Optimizer, optimization: Optimization, steps: int) -> LRScheduler:
    """Return the schedule of the learning rates: linear warm-up, then polynomial decay.

    Args:
        optimizer: What the schedule changes, once per step.
        optimization: The warm-up and the decay.
        steps: Steps of the training.
    """
    total = optimization.decay_steps or steps
    warmup, power = optimization.warmup_steps, optimization.poly_power

    def factor(step: int) -> float:
        if step < warmup:
            return float((step + 1) / warmup)
        left = 1 - (step - warmup) / max(1, total - warmup)
        return float(max(0.0, left) ** power)

    return LambdaLR(optimizer, factor)

"""The optimiser of a segmenter, Riemannian where parameters live on a manifold."""

from __future__ import annotations

from typing import Any

import geoopt
import torch
from torch.optim import Optimizer

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


def build_optimizer(
    segmenter: Segmenter,
    name: str,
    lr: float,
    head_lr_factor: float = 10.0,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
) -> Optimizer:
    """Return the optimiser of a segmenter's trainable parameters.

    The groups are ``encoder`` at the learning rate, ``head`` (decoder and head, all that starts
    from random weights, which RIPU and HALO call the classifier) at the multiplied rate, and, for
    a hyperbolic head, ``points``: its class points, which move by Riemannian steps at the head's
    rate and have no weight decay, since decay would pull them to the origin of the ball.

    Weight decay is the L2 penalty that is added to the gradient (Adam, not AdamW), because the
    Riemannian optimisers know no other and the heads are meant to be comparable.

    Args:
        segmenter: What to train.
        name: ``adam`` or ``sgd``.
        lr: Learning rate of the encoder.
        head_lr_factor: The learning rate of decoder and head as a multiple of ``lr``.
        weight_decay: Factor of the L2 penalty.
        momentum: Of ``sgd``.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"Unknown optimizer {name!r}; choose from {', '.join(OPTIMIZERS)}.")
    head = [p for p in segmenter.head_parameters() if p.requires_grad]
    points = [p for p in head if isinstance(p, geoopt.ManifoldParameter)]
    head = [p for p in head if not isinstance(p, geoopt.ManifoldParameter)]
    encoder = [p for p in segmenter.encoder_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"name": "encoder", "params": encoder, "lr": lr},
        {"name": "head", "params": head, "lr": lr * head_lr_factor},
    ]
    if points:
        groups.append(
            {"name": "points", "params": points, "lr": lr * head_lr_factor, "weight_decay": 0.0}
        )
    common: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if name == "sgd":
        common["momentum"] = momentum
        sgd: type[Optimizer] = geoopt.optim.RiemannianSGD if points else torch.optim.SGD
        return sgd(groups, **common)
    adam: type[Optimizer] = ResumableRiemannianAdam if points else torch.optim.Adam
    return adam(groups, **common)

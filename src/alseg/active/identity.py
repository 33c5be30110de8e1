"""What makes two trainings the same run: a label store belongs to one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from alseg.active.requirements import PoolData, source_of
from alseg.data.base import Pool
from alseg.errors import LabelStoreError
from alseg.labels.store import LabelStore

OWN_STORE = (
    "To start a new run, name another folder (in a script ActiveLoop(store=...)); to resume that "
    "one, give it the settings it was started with (and in a script its checkpoint: "
    "trainer.fit(..., ckpt_path=...))."
)


def identity(module: L.LightningModule, data: PoolData) -> dict[str, Any]:
    """Return what a run is known by besides how it asks: its network, its training and its data.

    Network and data say so themselves as ``run_identity``. Of others it holds the name of the
    class, and of a network the hyperparameters that were saved, those that are no JSON values by
    their type; those of a data module say where images are and how fast they come, which may
    change. Of a data set it holds the number of images and a digest of the pixels of a few. Where
    the images are stored does not count.
    """
    network = getattr(module, "run_identity", None)
    if network is None:
        network = {"class": type(module).__qualname__, **module.hparams}
    training = getattr(data, "run_identity", {"class": type(data).__qualname__})
    source = source_of(data)
    images = {"source": None if source is None else source[1], "target": data.pool}
    content: dict[str, Any] = json.loads(
        json.dumps(
            {
                "network": dict(network),
                "data": dict(training),
                "images": {domain: _seen(part) for domain, part in images.items()},
            },
            default=lambda value: type(value).__qualname__,
            skipkeys=True,
        )
    )
    return content


def _seen(images: Pool | None) -> str:
    count = 0 if images is None else len(images.ids)
    if count == 0:
        return "none"
    show = getattr(images, "image", None)
    if show is None:
        return f"{count} images"
    digest = hashlib.sha256()
    for index in sorted({0, count // 2, count - 1}):
        digest.update(np.asarray(show(index)).tobytes())
    return f"{count} images {digest.hexdigest()[:16]}"


def weights_of(module: L.LightningModule) -> str:
    """Return a digest of the weights and buffers of a module."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().view(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def check_same_run(store: LabelStore, settings: Callable[[int], Mapping[str, Any]]) -> None:
    """Check that the rounds of a store were asked for by a run with these settings.

    Args:
        store: The store.
        settings: Returns what this run would write down about a round; nothing if it has no such.

    Raises:
        LabelStoreError: A round was asked for otherwise; the message names what differs.
    """
    for number in range(1, store.rounds + 1):
        then, now = _flat(store.settings(number)), _flat(settings(number))
        names = sorted(then.keys() | now.keys())
        differing = [
            f"{name} was {then.get(name)}, is {now.get(name)}"
            for name in names
            if then.get(name) != now.get(name)
        ]
        if differing:
            raise LabelStoreError(
                f"Round {number} of the label store {store.folder} was asked for by another "
                f"run: {', '.join(differing)}. {OWN_STORE}"
            )


def check_same_start(folder: Path, start: str, resumed: bool) -> None:
    """Check that the rounds of a store were asked for by a run that started from these weights.

    Args:
        folder: The label store; it may not be there yet.
        start: The digest of the weights that this run started from.
        resumed: Whether it is resumed from a checkpoint.

    Raises:
        LabelStoreError: They were not.
    """
    if not LabelStore.exists(folder):
        return
    store = LabelStore.open(folder)
    if store.rounds == 0 or store.settings(1)["start"] == start:
        return
    what = (
        "the checkpoint to resume from is not of that run"
        if resumed
        else "this run's network starts from other weights (another seed or another start)"
    )
    held = "a round" if store.rounds == 1 else f"{store.rounds} rounds"
    raise LabelStoreError(
        f"The label store {store.folder} holds {held} of another run: {what}. {OWN_STORE}"
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted names, without the start, which is compared apart."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif prefix or name != "start":
            flat[f"{prefix}{name}"] = value
    return flat

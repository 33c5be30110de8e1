"""What makes two trainings the same run: a label store belongs to one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from alseg.data.base import SegmentationDataset
from alseg.data.module import SegmentationDataModule
from alseg.errors import LabelStoreError
from alseg.labels.store import LabelStore
from alseg.training.module import SegmentationModule

SEPARATELY = ("encoder_weights", "label_space")
"""Hyperparameters that are compared elsewhere: in the weights themselves and in the pool's list."""

OWN_STORE = (
    "To start a new run, name another folder (in a script ActiveLoop(store=...)); to resume that "
    "one, give it the settings it was started with (and in a script its checkpoint: "
    "trainer.fit(..., ckpt_path=...))."
)


def identity(module: SegmentationModule, data: SegmentationDataModule) -> dict[str, Any]:
    """Return what a run is known by besides how it asks: its network, its training and its data.

    Of a data set it holds the number of images and a digest of the pixels of a few. Where the
    images are stored does not count.
    """
    images = {"source": data.source, "target": data.pool}
    training = {
        name: getattr(data, name)
        for name in ("sizes", "crop", "eval_size", "augmentation", "batch_size", "seed")
    }
    network = {name: value for name, value in module.settings.items() if name not in SEPARATELY}
    content: dict[str, Any] = json.loads(
        json.dumps(
            {
                "network": network,
                "data": training,
                "images": {domain: _seen(part) for domain, part in images.items()},
            },
            default=lambda value: type(value).__qualname__,
        )
    )
    return content


def _seen(images: SegmentationDataset | None) -> str:
    if images is None or len(images) == 0:
        return "none"
    digest = hashlib.sha256()
    for index in sorted({0, len(images) // 2, len(images) - 1}):
        digest.update(images.image(index).tobytes())
    return f"{len(images)} images {digest.hexdigest()[:16]}"


def weights_of(module: SegmentationModule) -> str:
    """Return a digest of the network's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.segmenter.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
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

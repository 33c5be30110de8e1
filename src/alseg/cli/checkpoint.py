"""Checkpoints as the commands open them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from alseg.errors import ConfigError, WeightsError
from alseg.module import SegmentationModule


def load_module(path: str, device: str) -> SegmentationModule:
    """Return the module of a checkpoint, ready for evaluation.

    The file is read as plain tensors and values: nothing in it is executed.

    Args:
        path: The checkpoint.
        device: A torch device, or ``auto`` for the fastest there is.

    Raises:
        ConfigError: There is no such device.
        WeightsError: There is no such file, or it is no checkpoint of alseg.
    """
    if not Path(path).is_file():
        raise WeightsError(
            f"There is no checkpoint {path}. A run keeps its own under RUN/checkpoints/last.ckpt."
        )
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        module = SegmentationModule(**checkpoint["hyper_parameters"])
        module.load_state_dict(checkpoint["state_dict"])
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is not a checkpoint that this version of alseg can read "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'empty'})."
        ) from error
    try:
        return module.eval().to(_device(device))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The device {device!r} cannot be used: {reason}") from error


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

"""Modes of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for the body, and each part back into its mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        # Part by part: some may be kept from training, such as a frozen encoder's normalisation.
        for part, was_training in modes:
            part.training = was_training

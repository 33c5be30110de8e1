"""What a segmenter returns, and how its maps are put on another grid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Prediction(NamedTuple):
    """Maps at the resolution of the decoder that cover the image exactly.

    A bilinear resize with ``align_corners=False`` to the image's size puts them in place.

    Attributes:
        logits: B×C×h×w, float32.
        radius: B×h×w, float32: the hyperbolic distance of each pixel's embedding from the origin;
            None for a linear head.
        features: B×D×h×w: what the decoder gave the head; None where a head is used by itself.
    """

    logits: Tensor
    radius: Tensor | None = None
    features: Tensor | None = None


def at_least_float32(maps: Tensor) -> Tensor:
    """Return maps with 32 bits or more: in 16, pixels that differ would tie."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def resize(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return B×C×h×w maps interpolated bilinearly to a height and width."""
    if maps.shape[-2:] == tuple(size):
        return maps
    return functional.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)

"""What a segmenter returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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

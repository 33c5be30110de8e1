"""The usual head: one linear classifier for all pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alseg.models.prediction import Prediction


class LinearHead(nn.Module):
    """A 1×1 convolution to the class logits, in float32 under autocast too.

    bfloat16 logits have three digits, which is too coarse for strategies that rank pixels by
    small differences.

    Args:
        in_channels: Channels of the decoder's features.
        num_classes: Number of classes C.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.classifier = nn.Conv2d(in_channels, num_classes, kernel_size=1)

    def forward(self, features: Tensor) -> Prediction:
        """Return the logits B×C×h×w of B×in_channels×h×w features."""
        with torch.autocast(features.device.type, enabled=False):
            return Prediction(self.classifier(features.to(self.classifier.weight.dtype)))

"""The segmenter: an encoder-decoder of smp with a linear or a hyperbolic head."""

from alseg.models.hyperbolic import REWEIGHTINGS, HyperbolicHead
from alseg.models.linear import LinearHead
from alseg.models.optim import build_optimizer
from alseg.models.prediction import Prediction
from alseg.models.segmenter import Segmenter, create_segmenter

__all__ = [
    "REWEIGHTINGS",
    "HyperbolicHead",
    "LinearHead",
    "Prediction",
    "Segmenter",
    "build_optimizer",
    "create_segmenter",
]

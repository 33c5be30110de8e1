"""The segmenter: an encoder-decoder of smp with a linear or a hyperbolic head."""

import warnings

with warnings.catch_warnings():
    # When it is imported, geoopt calls what torch has deprecated; a user can do nothing about it.
    warnings.filterwarnings("ignore", r"`torch\.jit\.script`", FutureWarning)
    import geoopt  # noqa: F401

from alseg.models.hyperbolic import REWEIGHTINGS, HyperbolicHead
from alseg.models.linear import LinearHead
from alseg.models.optim import Optimization, build_optimizer, build_schedule
from alseg.models.prediction import Prediction
from alseg.models.segmenter import Network, Segmenter, create_segmenter

__all__ = [
    "REWEIGHTINGS",
    "HyperbolicHead",
    "LinearHead",
    "Network",
    "Optimization",
    "Prediction",
    "Segmenter",
    "build_optimizer",
    "build_schedule",
    "create_segmenter",
]

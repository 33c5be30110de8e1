"""The hyperbolic head of HALO: class probabilities and a radius for every pixel."""

from __future__ import annotations

import math
from typing import cast

import geoopt
import torch
from torch import Tensor, nn

from alseg.errors import ConfigError
from alseg.models.poincare import hyperbolic_mlr0, radius
from alseg.models.prediction import Prediction

REWEIGHTINGS = ("rms", "published", "none")
SMALLEST_WEIGHT = 1e-5
EPSILON = 1e-5


class HyperbolicHead(nn.Module):
    """Reduction, feature reweighting, exponential map, hyperbolic logistic regression.

    Computed in the type of the parameters, float32 unless the head was made ``double()``, under
    autocast too. The class points are manifold parameters: train them with the optimiser of
    :func:`alseg.models.build_optimizer`, which keeps them in the ball.

    Args:
        in_channels: Channels of the decoder's features.
        num_classes: Number of classes C.
        dim: Dimension D of the ball.
        curvature: c > 0; the ball has the radius 1/√c.
        reweighting: See :class:`FeatureReweighting`; ``none`` leaves the features as they are.

    Raises:
        ConfigError: A dimension below 1, a curvature that is not positive, or an unknown
            reweighting.

    Source:
        Franco et al., HALO, ICML 2024 (arXiv 2306.11180), and its published program.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dim: int = 64,
        curvature: float = 1.0,
        reweighting: str = "rms",
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_classes = num_classes
        if dim < 1:
            raise ConfigError(f"The hyperbolic dimension is {dim}; it must be at least 1.")
        if not (curvature > 0 and math.isfinite(curvature)):
            raise ConfigError(f"The curvature is {curvature}; it must be a positive number.")
        if reweighting not in REWEIGHTINGS:
            raise ConfigError(
                f"Unknown reweighting {reweighting!r}; choose from {', '.join(REWEIGHTINGS)}."
            )
        self.curvature = float(curvature)
        self.reduce = nn.Conv2d(in_channels, dim, kernel_size=1)
        self.reweight = (
            nn.Identity() if reweighting == "none" else FeatureReweighting(dim, reweighting)
        )
        # A submodule, so that the manifold follows the points to their device.
        self.ball = geoopt.PoincareBall(c=self.curvature)
        reach = 1 / math.sqrt(3 * dim * self.curvature)
        self.points = geoopt.ManifoldParameter(
            torch.empty(num_classes, dim).uniform_(-reach, reach), manifold=self.ball
        )
        self.normals = nn.Parameter(
            nn.init.kaiming_uniform_(torch.empty(num_classes, dim), a=math.sqrt(5))
        )

    def forward(self, features: Tensor) -> Prediction:
        """Return the logits and radii of B×in_channels×h×w features."""
        with torch.autocast(features.device.type, enabled=False):
            tangent = self.tangent(features)
            logits = hyperbolic_mlr0(tangent, self.points, self.normals, self.curvature)
            return Prediction(logits, radius(tangent, self.curvature))

    def tangent(self, features: Tensor) -> Tensor:
        """Return the Euclidean vectors B×D×h×w that the exponential map is applied to."""
        with torch.autocast(features.device.type, enabled=False):
            reduced = self.reduce(features.to(self.normals.dtype))
            return cast(Tensor, self.reweight(reduced))


class FeatureReweighting(nn.Module):
    """Normalise each channel over an image's pixels and scale it by a learned weight.

    The weights are the outputs of a small perceptron, applied to every pixel, averaged over the
    image and kept from falling below 1e-5. They start at 1.

    ``published`` divides a channel by its Euclidean norm over the image's pixels: an image of
    twice the height and width has half the features and so half the radii. ``rms`` divides by the
    root of the mean square instead, and by √D, so that radii mean the same at every resolution
    and start at 2 on average.

    Args:
        dim: Number of channels D.
        form: ``rms`` or ``published``.
    """

    def __init__(self, dim: int, form: str = "rms") -> None:
        super().__init__()
        self.form = form
        self.hidden = nn.Sequential(
            nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU()
        )
        self.output = nn.Linear(dim, dim)
        # A weight below the clamp learns nothing, which would be half of them around 0.
        nn.init.ones_(self.output.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return B×D×h×w features, normalised and reweighted."""
        # The last layer is linear: it commutes with the mean over the pixels.
        weights = self.output(self.hidden(features).mean((2, 3))).clamp(min=SMALLEST_WEIGHT)
        if self.form == "published":
            norm = torch.linalg.vector_norm(features, dim=(2, 3))
            scale = weights / norm.clamp(min=EPSILON)
        else:
            mean_square = features.square().mean((2, 3))
            scale = weights * (features.shape[1] * mean_square + EPSILON).rsqrt()
        reweighted: Tensor = features * scale[:, :, None, None]
        return reweighted

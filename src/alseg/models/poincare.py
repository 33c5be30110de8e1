r"""The Poincaré ball: exponential map, distance and logistic regression as pure functions.

The ball of curvature :math:`c > 0` has the radius :math:`1/\sqrt{c}`. A "map" is a tensor
B×D×..., the coordinates in dimension 1. Every function takes float32 or float64 and keeps it.

geoopt has the same operations, but in float32 it clips embeddings at 0.996 of the rim, which is
a hyperbolic radius of no more than 6.2, and it computes a distance to a hyperplane by a Möbius
addition for every class and pixel, a tensor B×C×D×H×W. Here float32 reaches as far as float64
does there, since the distance to the rim, 1 − c|z|², is never computed: logistic regression goes
through the hyperboloid, on which a hyperplane is a linear form. Only where an embedding comes close
to a class point far out, that form is a difference of large numbers, and a float32 logit is off by
up to some 2 % of the largest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

RIM = 1e-5
"""Embeddings stay within (1 − RIM)/√c, as in geoopt in float64."""

SUM_RIM = 1e-3
"""The Möbius sum −p⊕z of a class point and an embedding stays within (1 − SUM_RIM)/√c, as in the
published program of HALO. It bounds the logits, so that no pixel's loss outgrows the others."""

TINY = 1e-30
"""Lower bound of squared norms: their root has a gradient at 0, and 0 stays 0 in what follows."""


def expmap0(features: Tensor, curvature: float) -> Tensor:
    r"""Exponential map at the origin, projected into the ball.

    :math:`\tanh(\sqrt{c}\,|u|)\, u / (\sqrt{c}\,|u|)` (Ganea et al. 2018, lemma 2).

    Args:
        features: B×D×... Euclidean (tangent) vectors u.
        curvature: c > 0.

    Returns:
        B×D×... points of the ball.
    """
    root = math.sqrt(curvature)
    norm = _norm(features)
    reach = (root * norm).clamp(max=math.atanh(1 - RIM))
    return features * (reach.tanh() / (root * norm))


def dist0(embeddings: Tensor, curvature: float) -> Tensor:
    r"""Hyperbolic distance from the origin, :math:`2\,\mathrm{artanh}(\sqrt{c}\,|z|)/\sqrt{c}`.

    Args:
        embeddings: B×D×... points of the ball.
        curvature: c > 0.

    Returns:
        B×....
    """
    root = math.sqrt(curvature)
    reach = (root * _norm(embeddings)).clamp(max=1 - RIM)
    return (2 / root) * reach.atanh().squeeze(1)


def radius(features: Tensor, curvature: float) -> Tensor:
    r"""``dist0(expmap0(features))`` without the detour that loses digits near the rim.

    :math:`2\,|u|`, until it saturates at :math:`2\,\mathrm{artanh}(1 - \mathrm{RIM})/\sqrt{c}`.

    Args:
        features: B×D×... Euclidean (tangent) vectors u.
        curvature: c > 0.

    Returns:
        B×....
    """
    limit = 2 * math.atanh(1 - RIM) / math.sqrt(curvature)
    return (2 * _norm(features)).clamp(max=limit).squeeze(1)


def hyperbolic_mlr(embeddings: Tensor, points: Tensor, normals: Tensor, curvature: float) -> Tensor:
    r"""Hyperbolic multinomial logistic regression.

    The logit of class k is the signed distance to the hyperplane through :math:`p_k` with the
    normal :math:`a_k`, times the normal's length (Ganea et al. 2018, eq. 25, with the constant
    front factor of HALO in place of :math:`\lambda_{p_k}/\sqrt{c}`):

    .. math::
        \frac{2}{\sqrt{c}}\,|a_k|\,\mathrm{asinh}\!\left(
        \frac{2\sqrt{c}\,\langle -p_k \oplus z,\, a_k\rangle}
        {(1 - c\,|{-p_k} \oplus z|^2)\,|a_k|}\right)

    where :math:`-p_k \oplus z` is projected as :data:`SUM_RIM` says.

    Args:
        embeddings: B×D×... points z of the ball.
        points: C×D points p of the ball, one for each class.
        normals: C×D Euclidean normals a.
        curvature: c > 0.

    Returns:
        B×C×... logits.
    """
    scale, time = _lift(embeddings, curvature)
    return _hyperboloid_mlr(embeddings, scale, time, points, normals, curvature)


def hyperbolic_mlr0(features: Tensor, points: Tensor, normals: Tensor, curvature: float) -> Tensor:
    r"""``hyperbolic_mlr(expmap0(features), ...)`` without the detour that loses digits at the rim.

    With the radius r, the lifted embedding is :math:`s = \sinh(\sqrt{c}\,r)\,u/|u|` and
    :math:`t = \cosh(\sqrt{c}\,r)`.

    Args:
        features: B×D×... Euclidean (tangent) vectors u.
        points: C×D points p of the ball, one for each class.
        normals: C×D Euclidean normals a.
        curvature: c > 0.

    Returns:
        B×C×... logits.
    """
    norm = _norm(features)
    reach = (2 * math.sqrt(curvature) * norm).clamp(max=2 * math.atanh(1 - RIM))
    return _hyperboloid_mlr(features, reach.sinh() / norm, reach.cosh(), points, normals, curvature)


def _hyperboloid_mlr(
    vectors: Tensor,
    scale: Tensor,
    time: Tensor,
    points: Tensor,
    normals: Tensor,
    curvature: float,
) -> Tensor:
    r"""The logits of points that are given on the hyperboloid :math:`t^2 - |s|^2 = 1`.

    With :math:`(\sigma, \tau)` the lifted class point and :math:`\hat a = a/|a|`, the argument of
    asinh is the linear form :math:`\langle w, s\rangle - b\,t` with :math:`w = \hat a +
    \sqrt{c}\,\langle p, \hat a\rangle\,\sigma` and :math:`b = \langle \sigma, \hat a\rangle`, and
    the distance d of the embedding from p has :math:`\cosh(\sqrt{c}\,d) = \tau t - \langle \sigma,
    s\rangle`: two dot products for each class and pixel are all there is.

    Args:
        vectors: B×D×..., which ``scale`` (B×1×...) turns into the coordinates s.
        scale: The factor.
        time: B×1×..., the coordinate t.
        points: C×D points of the ball.
        normals: C×D Euclidean normals.
        curvature: c > 0.
    """
    root = math.sqrt(curvature)
    length = torch.linalg.vector_norm(normals, dim=1)[:, None]
    unit = functional.normalize(normals, dim=1)
    point_scale, point_time = _lift(points, curvature)
    centres = point_scale * points
    forms = unit + root * (points * unit).sum(1, keepdim=True) * centres
    offsets = (centres * unit).sum(1, keepdim=True)

    # A matrix product and not a convolution, which may run in TF32; one for both, since reading the
    # vectors is what takes the time. The scale comes after it, where the maps have 2C channels.
    rows = functional.linear(vectors.movedim(1, -1), torch.cat((forms, -centres)))
    products = rows.movedim(-1, 1)
    along_form, along_centre = products.chunk(2, dim=1)
    ahead = (1,) * (time.ndim - 2)
    offsets, point_time, length = (x.view(-1, *ahead) for x in (offsets, point_time, length))
    argument = torch.addcmul(-offsets * time, along_form, scale)
    cosh_distance = torch.addcmul(point_time * time, along_centre, scale)

    longest = 2 * math.atanh(1 - SUM_RIM)
    sinh_square = cosh_distance.clamp(min=math.cosh(longest)).square() - 1
    shortening = math.sinh(longest) * sinh_square.rsqrt()
    logits: Tensor = (2 / root * length) * (argument * shortening).asinh()
    return logits


def _lift(embeddings: Tensor, curvature: float) -> tuple[Tensor, Tensor]:
    r"""Return the factor from points z of the ball to s, and t, on the hyperboloid.

    :math:`s = 2\sqrt{c}\,z/(1 - c|z|^2)` and :math:`t = (1 + c|z|^2)/(1 - c|z|^2)`.
    """
    square = curvature * embeddings.square().sum(1, keepdim=True)
    gap = (1 - square).clamp(min=RIM)
    return 2 * math.sqrt(curvature) / gap, (1 + square) / gap


def _norm(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1, keepdim=True).clamp(min=TINY).sqrt()

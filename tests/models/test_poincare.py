import math
from pathlib import Path

import geoopt
import numpy as np
import pytest
import torch

from alseg.models.poincare import (
    RIM,
    SUM_RIM,
    dist0,
    expmap0,
    hyperbolic_mlr,
    hyperbolic_mlr0,
    radius,
)


def random(*shape, scale=1.0, seed=0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_points(classes, dim, curvature, reach=0.9):
    direction = torch.nn.functional.normalize(random(classes, dim, seed=1), dim=1)
    return (
        direction
        * torch.linspace(0, reach, classes, dtype=torch.float64)[:, None]
        / (math.sqrt(curvature))
    )


def mlr_by_moebius_addition(embeddings, points, normals, curvature):
    """The formula of the docstring, class by class, with geoopt's Möbius addition."""
    ball = geoopt.PoincareBall(c=torch.tensor(curvature, dtype=torch.float64))
    root = math.sqrt(curvature)
    logits = []
    for point, normal in zip(points, normals, strict=True):
        moved = geoopt.manifolds.stereographic.math.mobius_add(
            -point[None, :, None, None].expand_as(embeddings), embeddings, k=ball.k, dim=1
        )
        norm = moved.norm(dim=1, keepdim=True)
        moved = moved * ((1 - SUM_RIM) / root / norm).clamp(max=1)
        dot = (moved * normal[None, :, None, None]).sum(1)
        gap = (1 - curvature * moved.square().sum(1)) * normal.norm()
        logits.append(2 / root * normal.norm() * torch.asinh(2 * root * dot / gap))
    return torch.stack(logits, dim=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
@pytest.mark.parametrize("vectors", ["c19_k1", "c19_k4", "c11_k1"])
def test_maps_are_those_of_the_published_program(shared: Path, vectors, dtype, tolerance):
    data = {
        name: torch.from_numpy(np.asarray(array))
        for name, array in np.load(shared / "conformance" / f"{vectors}.npz").items()
    }
    curvature = float(data["curvature"])
    features = data["features"].to(dtype)
    points, normals = data["mlr_points"].to(dtype), data["mlr_normals"].to(dtype)
    embeddings = expmap0(features, curvature)

    def agree(result, expected):
        assert result.dtype == dtype
        assert (result - expected).abs().max() <= tolerance * expected.abs().max()

    agree(embeddings, data["embeddings"])
    agree(dist0(embeddings, curvature)[0], data["radius"])
    agree(radius(features, curvature)[0], data["radius"])
    agree(hyperbolic_mlr(embeddings, points, normals, curvature), data["mlr_logits"])
    agree(hyperbolic_mlr0(features, points, normals, curvature), data["mlr_logits"])


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("scale", [0.01, 0.5, 2.0, 20.0])
def test_logits_are_those_of_moebius_addition(curvature, scale):
    features = random(2, 8, 5, 4, scale=scale)
    points, normals = random_points(6, 8, curvature), random(6, 8, seed=2)
    embeddings = geoopt.PoincareBall(c=torch.tensor(curvature, dtype=torch.float64)).expmap0(
        features, dim=1
    )
    expected = mlr_by_moebius_addition(embeddings, points, normals, curvature)
    torch.testing.assert_close(
        hyperbolic_mlr(embeddings, points, normals, curvature), expected, rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(
        hyperbolic_mlr0(features, points, normals, curvature), expected, rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 0.3, 1.0, 3.0, 1e4])
def test_float32_logits_agree_with_float64_up_to_the_rim(scale):
    features = random(1, 64, 8, 8, scale=scale)
    points, normals = random_points(19, 64, 1.0), random(19, 64, seed=2)
    expected = hyperbolic_mlr0(features, points, normals, 1.0)
    single = hyperbolic_mlr0(features.float(), points.float(), normals.float(), 1.0)
    assert (single - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("curvature", [0.5, 1.0, 2.0])
def test_a_class_point_lies_on_its_own_hyperplane(curvature):
    points, normals = random_points(6, 5, curvature), random(6, 5, seed=2)
    logits = hyperbolic_mlr(points[:, :, None], points, normals, curvature)[:, :, 0]
    assert logits.diagonal().abs().max() < 1e-12
    assert logits.fill_diagonal_(1).abs().min() > 1e-6


@pytest.mark.parametrize("curvature", [0.5, 1.0, 2.0])
def test_at_the_origin_the_hyperplanes_are_linear_in_the_radius(curvature):
    normals = torch.eye(3, dtype=torch.float64) * torch.tensor([1.0, 2.0, 3.0])
    features = torch.diag(torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64))
    logits = hyperbolic_mlr0(features[:, :, None], torch.zeros(3, 3).double(), normals, curvature)[
        :, :, 0
    ]
    # A pixel on the axis of a normal has the distance 2|u| to that normal's hyperplane.
    expected = torch.diag(torch.tensor([1.2, 8.0, 24.0], dtype=torch.float64))
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("curvature", [0.25, 1.0, 4.0])
def test_radius_is_twice_the_euclidean_norm_until_it_saturates(dtype, curvature):
    lengths = torch.tensor([0.0, 1e-3, 0.5, 1.0, 2.0, 100.0], dtype=dtype)
    features = torch.zeros(1, 3, 6, dtype=dtype)
    features[0, 0], features[0, 2] = 0.6 * lengths, -0.8 * lengths
    limit = math.log((2 - RIM) / RIM) / math.sqrt(curvature)
    expected = (2 * lengths).clamp(max=limit)[None]
    assert expected[0, -1] < 200
    torch.testing.assert_close(radius(features, curvature), expected, atol=1e-12, rtol=1e-6)
    detour = dist0(expmap0(features, curvature), curvature)
    torch.testing.assert_close(detour, expected, atol=1e-12, rtol=1e-3)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e4])
def test_embeddings_stay_in_the_ball(scale):
    norms = expmap0(random(1, 4, 50, scale=scale, dtype=torch.float32), 2.0).norm(dim=1)
    assert norms.max() <= (1 - RIM / 2) / math.sqrt(2.0)


@pytest.mark.parametrize("scale", [0.05, 0.8, 4.0])
def test_gradients_are_those_of_finite_differences(scale):
    features = random(1, 3, 2, 2, scale=scale).requires_grad_()
    points = random_points(4, 3, 0.7, reach=0.8).requires_grad_()
    normals = random(4, 3, seed=2).requires_grad_()
    embeddings = expmap0(features, 0.7).detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda u, p, a: hyperbolic_mlr0(u, p, a, 0.7), (features, points, normals)
    )
    assert torch.autograd.gradcheck(lambda u: radius(u, 0.7), features)
    assert torch.autograd.gradcheck(lambda u: expmap0(u, 0.7), features)
    if scale < 1:
        assert torch.autograd.gradcheck(lambda z: dist0(z, 0.7), embeddings)
        assert torch.autograd.gradcheck(
            lambda z, p, a: hyperbolic_mlr(z, p, a, 0.7), (embeddings, points, normals)
        )


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-12, 1.0, 6.1, 1e4])
def test_float32_gradients_are_finite_at_any_length(length):
    features = torch.zeros(1, 4, 1)
    features[0, 1] = length
    features.requires_grad_()
    points = random_points(5, 4, 1.0).float().requires_grad_()
    normals = random(5, 4, seed=2, dtype=torch.float32).requires_grad_()
    embeddings = expmap0(features, 1.0)
    total = (
        hyperbolic_mlr0(features, points, normals, 1.0).sum()
        + hyperbolic_mlr(embeddings, points, normals, 1.0).sum()
        + radius(features, 1.0).sum()
        + dist0(embeddings, 1.0).sum()
    )
    total.backward()
    assert total.isfinite()
    for tensor in (features, points, normals):
        assert tensor.grad.isfinite().all()

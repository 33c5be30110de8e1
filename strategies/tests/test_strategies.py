"""Each score against its definition, spelled out pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alseg_strategies import Signals, create


@st.composite
def images(draw):
    """Logits C,H,W with regions of one class, and a hyperbolic radius H,W."""
    classes, height, width = (draw(st.integers(2, 40)), *draw(st.tuples(*[st.integers(1, 7)] * 2)))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = numbers.normal(0, draw(st.sampled_from([0.1, 1, 5])), (classes, height, width))
    radius = numbers.uniform(0, 20, (height, width))
    return logits.astype(np.float32), radius.astype(np.float32)


def score_of(strategy, logits, hyperbolic_radius=None, **options):
    signals = Signals(
        torch.from_numpy(logits)[None],
        radius=None if hyperbolic_radius is None else torch.from_numpy(hyperbolic_radius)[None],
    )
    return create(strategy, **options).score(signals)[0].numpy()


@settings(max_examples=50)
@given(images(), st.integers(0, 8))
def test_ripu_is_impurity_times_mean_entropy(plain, image, radius):
    logits, _ = image
    unit = math.log(len(logits))
    impurity = plain.per_pixel(plain.histogram_entropy, logits.argmax(0), radius) / unit
    uncertainty = plain.per_pixel(np.mean, plain.softmax_entropy(logits), radius) / unit
    score = score_of("ripu", logits, radius=radius)
    np.testing.assert_allclose(score, impurity * uncertainty, atol=1e-5)
    alone = score_of("ripu", logits, radius=radius, impurity=False)
    np.testing.assert_allclose(alone, uncertainty, atol=1e-5)


@settings(max_examples=50)
@given(images(), st.integers(0, 8))
def test_ripu_of_pixels_is_in_nats(plain, image, radius):
    logits, _ = image
    impurity = plain.per_pixel(plain.histogram_entropy, logits.argmax(0), radius)
    score = score_of("ripu", logits, radius=radius, mode="pixel")
    np.testing.assert_allclose(score, impurity * plain.softmax_entropy(logits), atol=1e-5)


@settings(max_examples=50)
@given(images(), images())
def test_disagreement_is_the_jensen_shannon_divergence_of_two_predictions(image, other):
    logits = image[0]
    taught = np.resize(other[0], logits.shape)
    signals = Signals(torch.from_numpy(logits)[None], teacher_logits=torch.from_numpy(taught)[None])
    score = create("teacher-disagreement").score(signals)[0].numpy()
    for row, column in np.ndindex(score.shape):
        p, q = (
            np.exp(z - z.max()) / np.exp(z - z.max()).sum()
            for z in (maps[:, row, column].astype(np.float64) for maps in (logits, taught))
        )
        expected = sum(
            (x * math.log(x / ((x + y) / 2)) if x else 0) / 2
            for pair in zip(p, q, strict=True)
            for x, y in (pair, pair[::-1])
        )
        assert score[row, column] == pytest.approx(expected / math.log(2), abs=1e-5)


def test_ripu_without_any_factor_is_one_everywhere():
    score = score_of("ripu", np.zeros((3, 2, 2), np.float32), impurity=False, uncertainty=False)
    assert (score == 1).all()


def test_equal_logits_predict_the_first_class():
    logits = torch.zeros(1, 200, 3, 3)
    assert create("ripu", uncertainty=False).score(Signals(logits)).eq(0).all()


def scaled(plain, x):
    """Min-max, where what is constant but for rounding counts as 1."""
    return np.ones_like(x) if np.ptp(x) <= 1e-6 * np.abs(x).max() else plain.min_max(x)


@settings(max_examples=50)
@given(images(), st.integers(0, 8), st.booleans())
def test_halo_variance_is_window_variance_times_mean_entropy(plain, image, radius, normalize):
    logits, hyperbolic_radius = image
    variance = plain.per_pixel(np.var, hyperbolic_radius.astype(np.float64), radius)
    entropy = plain.softmax_entropy(logits) / math.log(len(logits))
    uncertainty = plain.per_pixel(np.mean, entropy, radius)
    tolerance = 1e-5
    if normalize:
        # Min-max divides the rounding of the entropies by their span.
        tolerance += 1e-6 / max(np.ptp(uncertainty), 1e-6)
        variance, uncertainty = scaled(plain, variance), scaled(plain, uncertainty)
    score = score_of("halo", logits, hyperbolic_radius, radius=radius, normalize=normalize)
    np.testing.assert_allclose(score, variance * uncertainty, rtol=1e-5, atol=tolerance)


@settings(max_examples=50)
@given(images(), st.integers(2, 120))
def test_halo_impurity_is_the_entropy_of_radius_bins(plain, image, bins):
    logits, hyperbolic_radius = image
    if np.ptp(hyperbolic_radius) == 0:
        return
    flipped = np.float32(1) - plain.min_max(hyperbolic_radius)
    binned = np.minimum(np.floor(flipped * np.float32(bins)), bins - 1)
    impurity = plain.per_pixel(plain.histogram_entropy, binned, 1) / math.log(bins)
    score = score_of(
        "halo",
        logits,
        hyperbolic_radius,
        term="impurity",
        bins=bins,
        uncertainty=False,
        normalize=False,
        radius=3,
    )
    np.testing.assert_allclose(score, impurity, atol=1e-5)


def test_halo_of_a_constant_radius_ranks_by_the_uncertainty_alone(plain):
    logits = np.random.default_rng(0).normal(size=(4, 9, 11)).astype(np.float32)
    constant = np.full((9, 11), 3.3, np.float32)
    uncertainty = plain.per_pixel(np.mean, plain.softmax_entropy(logits), 1)
    for term in ("variance", "impurity", "radius"):
        score = score_of("halo", logits, constant, term=term)
        np.testing.assert_allclose(score, plain.min_max(uncertainty), atol=1e-5)


def test_halo_of_constant_logits_ranks_by_the_radius_alone(plain):
    hyperbolic_radius = np.random.default_rng(0).uniform(0, 20, (9, 11))
    logits = np.full((7, 9, 11), 0.1, np.float32)
    score = score_of("halo", logits, hyperbolic_radius, term="radius", radius=3)
    np.testing.assert_allclose(score, plain.min_max(hyperbolic_radius), atol=1e-6)


@settings(max_examples=50)
@given(images())
def test_entropy_margin_and_least_confidence(plain, image):
    logits, _ = image
    ordered = np.sort(plain.softmax(logits), axis=0)
    expected = {
        "entropy": plain.softmax_entropy(logits) / math.log(len(logits)),
        "margin": 1 - (ordered[-1] - ordered[-2]),
        "least-confidence": 1 - ordered[-1],
    }
    for name, score in expected.items():
        np.testing.assert_allclose(score_of(name, logits), score, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "highest"), [("entropy", 1), ("margin", 1), ("least-confidence", 0.995)]
)
def test_a_certain_pixel_scores_least_and_an_undecided_one_most(name, highest):
    logits = np.zeros((200, 1, 2), np.float32)
    logits[3, 0, 0] = 60_000
    np.testing.assert_allclose(score_of(name, logits), [[0, highest]], atol=1e-6)


def test_large_images_are_scored_strip_by_strip_alike():
    logits = 4 * torch.randn(2, 19, 400, 300, generator=torch.Generator().manual_seed(0))
    whole = create("entropy").score(Signals(logits))
    logs = logits.double().log_softmax(1)
    expected = -(logs.exp() * logs).sum(1) / math.log(19)
    torch.testing.assert_close(whole, expected.float(), rtol=0, atol=1e-6)
    classes = create("ripu", mode="pixel", radius=0, uncertainty=False).score(Signals(logits))
    assert classes.eq(0).all()


def test_float64_logits_are_scored_in_float64():
    score = create("ripu").score(Signals(torch.randn(1, 3, 5, 5, dtype=torch.float64) * 1e300))
    assert score.dtype == torch.float64
    assert score.isfinite().all()


def test_two_best_classes_alike_have_no_margin():
    logits = np.array([2, -1, 2, 0], np.float32).reshape(4, 1, 1)
    assert score_of("margin", logits) == 1


@pytest.mark.parametrize(
    ("strategy", "options", "radius", "exclusion"),
    [
        ("halo", {}, 1, 5),
        ("halo", {}, 3, 5),
        ("halo", {"term": "impurity"}, 0, 5),
        ("halo", {}, 7, 7),
        ("ripu", {}, 1, 2),
        ("ripu", {"radius": 32}, 1, 2),
        ("ripu", {"mode": "pixel", "radius": 32}, 0, 32),
        ("random", {}, 4, 8),
        ("entropy", {}, 0, 0),
        ("margin", {}, 1, 2),
        ("least-confidence", {}, 3, 6),
    ],
)
def test_regions_are_kept_apart_as_published_unless_somebody_decides(
    strategy, options, radius, exclusion
):
    assert create(strategy, **options).exclusion_radius(radius) == exclusion


@pytest.mark.parametrize("classes", [2, 5, 11, 19, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_entropy_is_at_most_one(classes, dtype):
    # Of almost equal logits, where rounding takes log Z - E[x] above log C.
    noise = torch.randn(1, classes, 50, 50, generator=torch.Generator().manual_seed(classes))
    score = create("entropy").score(Signals((3 + 1e-6 * noise).to(dtype)))
    assert score.max() <= 1
    assert score.min() > 0.999

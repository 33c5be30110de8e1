"""The numbers that the published programs of RIPU and HALO give, within the stated tolerance."""

import numpy as np
import pytest
import torch

from alseg_strategies import Signals, create, select_regions

FILES = {"c19_k1": 1, "c19_k4": 4, "c11_k1": 1}
NINETEEN_CLASSES = ["c19_k1", "c19_k4"]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def vectors(shared):
    return {name: dict(np.load(shared / "conformance" / f"{name}.npz")) for name in FILES}


def scored(vectors, name, strategy, **options):
    reference = vectors[name]
    signals = Signals(
        torch.from_numpy(reference["logits"]), radius=torch.from_numpy(reference["radius"])[None]
    )
    score = create(strategy, radius=FILES[name], **options).score(signals)
    assert score.dtype == torch.float32
    return score[0].numpy()


def assert_agrees(got, expected):
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", NINETEEN_CLASSES)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("ripu_impurity", {"uncertainty": False}),
        ("ripu_uncertainty", {"impurity": False}),
        ("ripu_score", {}),
    ],
)
def test_ripu_regions(vectors, name, key, options):
    assert_agrees(scored(vectors, name, "ripu", **options), vectors[name][key])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("pixel_purity_nats", {"uncertainty": False}),
        ("pixel_entropy_nats", {"impurity": False}),
        ("ripu_pixel_score", {}),
    ],
)
def test_ripu_pixels(vectors, name, key, options):
    assert_agrees(scored(vectors, name, "ripu", mode="pixel", **options), vectors[name][key])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("source", ["published scores", "own scores"])
def test_selection(vectors, name, source):
    reference = vectors[name]
    mode, key = ("pixel", "ripu_pixel_score") if name == "c11_k1" else ("region", "ripu_score")
    own = scored(vectors, name, "ripu", mode=mode)
    score = torch.from_numpy(own if source == "own scores" else reference[key])
    regions = select_regions(score, int(reference["selection_n"]), radius=FILES[name])
    assert np.array_equal(regions.centres, reference["selection_centres"])
    assert np.array_equal(regions.labelled, reference["selection_mask"])
    assert np.array_equal(regions.excluded, reference["selection_excluded"])
    assert regions.costs.sum() == reference["selection_mask"].sum()


@pytest.mark.parametrize("name", NINETEEN_CLASSES)
def test_halo_impurity(vectors, name):
    reference = vectors[name]
    term = scored(vectors, name, "halo", term="impurity", uncertainty=False)
    assert_agrees(term, reference["halo_impurity_term"])
    score = scored(vectors, name, "halo", term="impurity")
    assert_agrees(score, reference["halo_impurity_score"])
    varied = term > 0.01
    uncertainty = score[varied] / term[varied]
    np.testing.assert_allclose(
        uncertainty, reference["halo_impurity_uncertainty"][varied], atol=TOLERANCE
    )


@pytest.mark.parametrize("name", NINETEEN_CLASSES)
def test_halo_radius(vectors, name):
    """The published entropy is summed over a zero-padded window: an affine map of ours inside."""
    reference = vectors[name]
    term = scored(vectors, name, "halo", term="radius", uncertainty=False)
    assert_agrees(term, reference["halo_radius_term"])
    score = scored(vectors, name, "halo", term="radius")
    own = np.divide(score, term, out=np.zeros_like(score), where=term > 0)
    k = FILES[name]
    inside = np.zeros(score.shape, dtype=bool)
    inside[k:-k, k:-k] = True
    inside &= term > 0
    published = reference["halo_radius_uncertainty"]
    slope, shift = np.polyfit(own[inside], published[inside], 1)
    assert slope > 0
    assert_agrees(slope * own[inside] + shift, published[inside])
    assert_agrees(
        term[inside] * (slope * own[inside] + shift), reference["halo_radius_score"][inside]
    )

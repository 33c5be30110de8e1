from itertools import pairwise

import numpy as np
import pytest

from alseg.runs.analysis import (
    DISTANCES,
    RADIUS_BINS,
    added,
    boundary_distance,
    checked,
    network_sums,
    pick_sums,
    place_sums,
)

RNG = np.random.default_rng(5)
TRUTH = np.kron(RNG.choice([0, 1, 2, 255], (6, 7)), np.ones((5, 4))).astype(np.uint8)
PREDICTION = RNG.integers(0, 3, TRUTH.shape).astype(np.uint8)
PICKED = RNG.random(TRUTH.shape) < 0.2
RADIUS = RNG.random(TRUTH.shape) * 10
MAPS = {"radius": RADIUS, "entropy": RNG.random(TRUTH.shape)}


def slow_distances(label):
    """Look at every pair of pixels."""
    height, width = label.shape
    edges = [
        (r, c)
        for r in range(height)
        for c in range(width)
        for s, d in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1))
        if 0 <= s < height and 0 <= d < width and label[s, d] != label[r, c]
    ]
    return np.array(
        [
            [min(np.hypot(r - a, c - b) for a, b in edges) for c in range(width)]
            for r in range(height)
        ]
    )


def test_distances_are_those_to_the_nearest_boundary_pixel():
    assert boundary_distance(TRUTH) == pytest.approx(slow_distances(TRUTH), abs=1e-4)


def test_an_image_of_one_class_has_no_boundary():
    assert np.isinf(boundary_distance(np.zeros((4, 5), dtype=np.uint8))).all()


def test_picks_are_counted_by_their_answers_and_void_apart():
    label = np.where(PICKED, TRUTH, 255).astype(np.uint8)
    sums = pick_sums(label, PICKED, 3)
    values = [TRUTH[r, c] for r, c in zip(*np.nonzero(PICKED), strict=True)]
    assert sums["picked_classes"].tolist() == [values.count(c) for c in range(3)]
    assert sums["picked_void"].tolist() == [values.count(255)]


def test_places_of_the_pool_and_of_the_picks():
    sums = place_sums(TRUTH, PICKED, 3)
    assert sums["pool_classes"].tolist() == [np.sum(c == TRUTH) for c in range(3)]
    distances = slow_distances(TRUTH)
    spans = list(pairwise(DISTANCES))
    assert sums["pool_distances"].tolist() == [
        np.sum((low <= distances) & (distances < high)) for low, high in spans
    ]
    assert sums["picked_distances"].tolist() == [
        np.sum((low <= distances) & (distances < high) & PICKED) for low, high in spans
    ]


def test_errors_and_maps_are_summed_over_the_pixels_that_have_a_class():
    sums = network_sums(TRUTH, PICKED, PREDICTION, MAPS, 3, rim=9.0)
    known = TRUTH != 255
    wrong = known & (TRUTH != PREDICTION)
    assert sums["pixels"] == known.sum()
    assert sums["wrong"] == wrong.sum()
    assert sums["asked"] == (known & PICKED).sum()
    assert sums["asked_wrong"] == (wrong & PICKED).sum()
    for c in range(3):
        here = c == TRUTH
        assert sums["class_pixels"][c] == here.sum()
        assert sums["class_right"][c] == (here & ~wrong).sum()
        assert sums["class_radius"][c] == pytest.approx(RADIUS[here].sum())
        assert sums["class_entropy"][c] == pytest.approx(MAPS["entropy"][here].sum())
    near = known & (slow_distances(TRUTH) < DISTANCES[1])
    assert sums["distance_wrong"][0] == (wrong & near).sum()
    assert sums["distance_radius"][0] == pytest.approx(RADIUS[near].sum())
    assert sums["distance_radius_squares"][0] == pytest.approx((RADIUS[near] ** 2).sum())


def test_radii_are_counted_up_to_the_rim_and_saturate_there():
    sums = network_sums(TRUTH, PICKED, PREDICTION, MAPS, 3, rim=9.0)
    radii = RADIUS[TRUTH != 255]
    counts = np.histogram(np.minimum(radii, 8.9999), RADIUS_BINS, (0, 9))[0]
    assert sums["radius_counts"].tolist() == counts.tolist()
    assert sums["at_rim"] == np.sum(radii >= 0.99 * 9)


def test_sums_add_up_and_keep_what_one_of_them_lacks():
    total = added({"a": np.array([1.0, 2.0])}, {"a": np.array([3.0, 4.0]), "b": np.array([5.0])})
    assert {name: values.tolist() for name, values in total.items()} == {"a": [4, 6], "b": [5]}


def test_what_a_round_writes_down_is_read_again():
    sums = pick_sums(np.where(PICKED, TRUTH, 255).astype(np.uint8), PICKED, 3)
    sums |= place_sums(TRUTH, PICKED, 3)
    maps = {**MAPS, "norm": MAPS["entropy"]}
    sums |= network_sums(TRUTH, PICKED, PREDICTION, maps, 3, rim=9.0)
    read = checked({name: values.tolist() for name, values in sums.items()}, 3)
    assert {"picked_void", "pool_distances", "distance_norm", "radius_counts"} <= read.keys()
    assert all(read[name].tolist() == sums[name].tolist() for name in read)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"picked_classes": [1, 2, 3]}, "lacks picked_void"),
        ({"picked_classes": [1, 2], "picked_void": [0]}, "picked_classes should have 3"),
        ({"picked_classes": [1, 2, 3], "picked_void": 4}, "picked_void should have 1"),
        ({"picked_classes": [1, 2, float("nan")], "picked_void": [0]}, "should have 3"),
    ],
)
def test_sums_that_lack_or_have_another_length_are_no_sums(content, words):
    with pytest.raises(ValueError, match=words):
        checked(content, 3)

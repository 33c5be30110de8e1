import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alseg_strategies import regions as regions_module
from alseg_strategies import select_regions

BOTH_WAYS = pytest.mark.parametrize("way", ["_pick_one_by_one", "_pick_at_once"])


def select(way, *arguments, **options):
    """Select on the processor in the way of the processor, or in that of an accelerator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "_pick_one_by_one", getattr(regions_module, way))
        return select_regions(*arguments, **options)


@st.composite
def selections(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    levels = st.one_of(st.integers(0, 3).map(float), st.just(-np.inf), st.floats(-1e3, 1e3))
    return {
        "score": draw(arrays(np.float64, shape, elements=levels)),
        "count": draw(st.integers(0, 150)),
        "radius": draw(st.integers(0, 3)),
        "exclusion_radius": draw(st.integers(0, 6)),
        "unavailable": draw(arrays(bool, shape)),
        "labelled": draw(arrays(bool, shape)),
    }


def tensors(selection):
    return {
        key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for key, value in selection.items()
    }


def assert_same(regions, expected):
    centres, labelled, excluded, costs = expected
    assert regions.centres.tolist() == [list(centre) for centre in centres]
    assert regions.centres.dtype == regions.costs.dtype == torch.int64
    assert np.array_equal(regions.labelled.numpy(), labelled)
    assert np.array_equal(regions.excluded.numpy(), excluded)
    assert regions.costs.tolist() == costs


@given(selections(), st.integers(1, 4))
def test_picks_in_the_order_of_the_plain_loop(plain, selection, smallest_chunk):
    # Chunks of a few pixels bring the paths of a large map to a small one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "_SMALLEST_CHUNK", smallest_chunk)
        patch.setattr(regions_module, "_SAMPLE", 8)
        regions = select_regions(**tensors(selection))
    assert_same(regions, plain.greedy(**selection))


@given(selections(), st.integers(0, 1000), st.integers(1, 4))
def test_ties_are_decided_by_the_order_that_is_given(plain, selection, seed, smallest_chunk):
    shape = selection["score"].shape
    # Scores with the same ranking and no two alike, since the order is added to them.
    order = np.random.default_rng(seed).permutation(shape[0] * shape[1]).reshape(shape)
    ranks = np.unique(selection["score"], return_inverse=True)[1].reshape(shape)
    unequal = ranks * float(order.size) - order
    unequal[selection["score"] == -np.inf] = -np.inf
    expected = plain.greedy(**{**selection, "score": unequal})
    ties = torch.from_numpy(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "_SMALLEST_CHUNK", smallest_chunk)
        patch.setattr(regions_module, "_SAMPLE", 8)
        assert_same(select_regions(**tensors(selection), ties=ties), expected)
    assert_same(select("_pick_at_once", **tensors(selection), ties=ties), expected)


def in_two_passes(plain, selection):
    """First the plain loop over whole windows, then over what is left."""
    radius, shape = selection["radius"], selection["score"].shape
    pixels = plain.per_pixel(np.size, np.zeros(shape), radius)
    whole = np.where(pixels < pixels.max(), -np.inf, selection["score"])
    centres, labelled, excluded, costs = plain.greedy(**{**selection, "score": whole})
    rest = {**selection, "unavailable": excluded, "labelled": selection["labelled"] | labelled}
    rest["count"] = selection["count"] - len(centres)
    last, more, excluded, cost = plain.greedy(**rest)
    return centres + last, labelled | more, excluded, costs + cost


@given(selections())
def test_clipped_regions_come_after_all_whole_ones_if_they_are_to(plain, selection):
    expected = in_two_passes(plain, selection)
    for way in ("_pick_one_by_one", "_pick_at_once"):
        assert_same(select(way, **tensors(selection), clipped="last"), expected)


@given(selections())
def test_picks_at_once_are_those_of_the_plain_loop(plain, selection):
    assert_same(select("_pick_at_once", **tensors(selection)), plain.greedy(**selection))


@pytest.mark.parametrize("kind", ["noise", "ties", "smooth", "constant"])
@pytest.mark.parametrize(("count", "radius", "exclusion"), [(50, 1, None), (400, 2, 1), (9, 3, 90)])
def test_both_ways_to_pick_agree_on_a_larger_map(kind, count, radius, exclusion):
    score = map_of(kind, 96, 160)
    one_by_one = select("_pick_one_by_one", score, count, radius, exclusion)
    at_once = select("_pick_at_once", score, count, radius, exclusion)
    for name in ("centres", "labelled", "excluded", "costs"):
        assert torch.equal(getattr(at_once, name), getattr(one_by_one, name))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["noise", "ties", "smooth", "constant"])
def test_picks_on_the_device_of_the_score(kind):
    score = map_of(kind, 96, 160)
    labelled = score > score.median()
    expected = select_regions(score, 50, radius=1, labelled=labelled, unavailable=labelled)
    regions = select_regions(score.cuda(), 50, radius=1, labelled=labelled, unavailable=labelled)
    for name in ("centres", "labelled", "excluded", "costs"):
        assert getattr(regions, name).is_cuda
        assert torch.equal(getattr(regions, name).cpu(), getattr(expected, name))


def map_of(kind, height, width):
    score = torch.rand(height, width, generator=torch.Generator().manual_seed(0))
    if kind == "smooth":
        coarse = score[None, None, : height // 32, : width // 32]
        return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0, 0]
    return {"noise": score, "ties": (4 * score).floor(), "constant": torch.zeros_like(score)}[kind]


def test_equal_scores_go_by_column_then_row():
    regions = select_regions(torch.zeros(2, 3), count=6, radius=0)
    assert regions.centres.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]]


def test_exclusion_is_twice_the_radius_by_default():
    score = torch.zeros(1, 10)
    assert select_regions(score, 10, radius=1).centres[:, 1].tolist() == [0, 3, 6, 9]


def test_an_exhausted_map_gives_what_there_is():
    regions = select_regions(torch.rand(8, 8), count=1000, radius=1)
    assert 4 <= len(regions.centres) < 1000
    assert regions.excluded.all()
    assert len(select_regions(torch.full((4, 4), -torch.inf), 3, radius=0).centres) == 0
    nothing = select_regions(torch.rand(4, 4), 0, radius=1)
    assert nothing.centres.shape == (0, 2)
    assert nothing.costs.shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_any_number_type_ranks_alike(dtype):
    score = torch.arange(60).reshape(6, 10)
    picks = select_regions(score.to(dtype), 5, radius=1).centres
    assert torch.equal(picks, select_regions(score.float(), 5, radius=1).centres)


def test_refuses_what_it_cannot_rank():
    with pytest.raises(ValueError, match="1 of 16 scores are NaN"):
        select_regions(torch.tensor([0.0] * 15 + [torch.nan]).reshape(4, 4), 1, radius=1)
    with pytest.raises(ValueError, match="count of regions is -1"):
        select_regions(torch.zeros(4, 4), -1, radius=1)
    with pytest.raises(ValueError, match=r"unavailable has the shape \(4, 5\)"):
        select_regions(torch.zeros(4, 4), 1, radius=1, unavailable=torch.zeros(4, 5).bool())
    for shape in ((1, 4, 4), (0, 4)):
        with pytest.raises(ValueError, match=r"expected \(height, width\)"):
            select_regions(torch.zeros(shape), 1, radius=1)


def test_large_integers_keep_their_order():
    score = 2**24 + torch.tensor([[0, 1, 3, 2]])
    assert select_regions(score, 4, radius=0).centres[:, 1].tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize("kind", ["noise", "smooth", "constant"])
def test_ten_thousand_picks_of_a_large_map_are_found(kind):
    assert len(select_regions(map_of(kind, 1024, 2048), 10_000, radius=1).centres) == 10_000


@BOTH_WAYS
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 200), st.integers(0, 12))
def test_nothing_is_picked_where_nothing_is_available(way, height, width, count, radius):
    everything = torch.ones(height, width, dtype=torch.bool)
    regions = select(way, torch.rand(height, width), count, radius, unavailable=everything)
    assert regions.centres.shape == (0, 2)
    assert regions.costs.shape == (0,)
    assert not regions.labelled.any()
    assert regions.excluded.all()


@BOTH_WAYS
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 200), st.integers(9, 10**6))
def test_a_region_larger_than_the_map_is_picked_once(way, height, width, count, radius):
    score = torch.rand(height, width)
    regions = select(way, score, count, radius)
    assert regions.costs.tolist() == [height * width]
    assert score[tuple(regions.centres[0])] == score.max()
    assert regions.labelled.all()
    assert regions.excluded.all()


@BOTH_WAYS
@given(st.integers(1, 9), st.integers(1, 9), st.integers(81, 10**6))
def test_more_picks_than_pixels_label_each_pixel_once(way, height, width, count):
    regions = select(way, torch.rand(height, width), count, radius=0)
    assert len(regions.centres.unique(dim=0)) == height * width
    assert regions.costs.eq(1).all()

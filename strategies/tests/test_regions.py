import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alseg_strategies import regions as regions_module
from alseg_strategies import select_regions


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


@given(selections(), st.integers(1, 4))
def test_picks_in_the_order_of_the_plain_loop(plain, selection, smallest_chunk):
    # Chunks of a few pixels bring the paths of a large map to a small one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "_SMALLEST_CHUNK", smallest_chunk)
        patch.setattr(regions_module, "_SAMPLE", 8)
        regions = select_regions(
            **{
                key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
                for key, value in selection.items()
            }
        )
    centres, labelled, excluded, costs = plain.greedy(**selection)
    assert regions.centres.tolist() == [list(centre) for centre in centres]
    assert np.array_equal(regions.labelled.numpy(), labelled)
    assert np.array_equal(regions.excluded.numpy(), excluded)
    assert regions.costs.tolist() == costs


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
    with pytest.raises(ValueError, match=r"expected \(height, width\)"):
        select_regions(torch.zeros(1, 4, 4), 1, radius=1)


@pytest.mark.parametrize("kind", ["noise", "smooth", "constant"])
def test_ten_thousand_picks_of_a_large_map_are_found(kind):
    score = torch.rand(1024, 2048, generator=torch.Generator().manual_seed(0))
    if kind == "smooth":
        score = torch.nn.functional.interpolate(score[None, None, :32, :64], (1024, 2048))[0, 0]
    elif kind == "constant":
        score = torch.zeros(1024, 2048)
    assert len(select_regions(score, 10_000, radius=1).centres) == 10_000

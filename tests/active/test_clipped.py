"""The loop's choice favours no place: windows at the border come last, equal scores are spread."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.rounds import hold_round

from alseg.active import OracleAnnotator
from alseg.config.strategy_options import options_for
from alseg.labels import LabelStore, PoolImage, Windows
from alseg_strategies import Signals, available, create

SIZE = (40, 52)
IMAGES = 3


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def noise(classes, seed):
    """Signals of one image in which no pixel differs from another but by chance."""
    drawn = torch.Generator().manual_seed(seed)
    return Signals(
        torch.randn(1, classes, *SIZE, generator=drawn),
        radius=torch.rand(1, *SIZE, generator=drawn),
        embeddings=torch.randn(1, 8, *SIZE, generator=drawn),
        teacher_logits=torch.randn(1, classes, *SIZE, generator=drawn),
    )


def centres_of(strategy, classes, *, radius, scope, rounds, budget="6%", seed=0, **asked):
    """Row and column of all picks of a run on noise, by rounds through a store on disk."""
    pool = [PoolImage(f"image{index}", *SIZE) for index in range(IMAGES)]
    oracle = OracleAnnotator(lambda name: np.zeros(SIZE, dtype=np.uint8))
    picks = []
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore.create(Path(folder) / "labels", pool, ["road"])
        for number in range(1, rounds + 1):
            drawn = torch.Generator().manual_seed(seed + number)
            maps = [
                strategy.score(noise(classes, seed + 100 * number + index), drawn)[0]
                for index in range(IMAGES)
            ]
            hold_round(
                store,
                enumerate(maps),
                oracle,
                number=number,
                rounds=rounds,
                budget=budget,
                region=Windows(radius, **asked).for_strategy(strategy),
                scope=scope,
            )
            for image in pool:
                table = store.queries(image.id, number)
                picks += [] if table is None else zip(table.rows, table.columns, strict=True)
    return np.array(picks).reshape(-1, 2)


def clipped_of(centres, radius):
    """Which windows the border of the image clips."""
    farthest = np.array(SIZE) - 1 - radius
    return ((centres < radius) | (centres > farthest)).any(axis=1)


def built(name, radius, **options):
    return create(name, **options_for(name, options, radius))


@pytest.mark.parametrize("name", list(available()))
@settings(max_examples=6, deadline=None)
@given(
    classes=st.integers(2, 20),
    radius=st.integers(0, 3),
    scope=st.sampled_from(["image", "pool"]),
    rounds=st.integers(1, 3),
    seed=st.integers(0, 2**20),
)
def test_picks_on_noise_hold_no_more_clipped_windows_than_their_share_of_the_area(
    name, classes, radius, scope, rounds, seed
):
    centres = centres_of(
        built(name, radius), classes, radius=radius, scope=scope, rounds=rounds, seed=seed
    )
    height, width = SIZE
    share = 1 - (height - 2 * radius) * (width - 2 * radius) / (height * width)
    assert len(centres)
    assert clipped_of(centres, radius).mean() <= share


def test_of_two_classes_the_published_order_takes_clipped_windows_alone():
    # 6 pixels divide evenly between two classes, 9 do not.
    ripu = built("ripu", 1, uncertainty=False)
    any_window = centres_of(ripu, 2, radius=1, scope="image", rounds=1, budget="1%", clipped="any")
    assert clipped_of(any_window, 1).all()


def test_clipped_windows_are_asked_for_once_no_whole_one_is_left():
    centres = centres_of(built("random", 1), 2, radius=1, scope="image", rounds=1, budget="99%")
    clipped = clipped_of(centres, 1)
    assert clipped.any()
    # Per image all whole ones, then clipped ones.
    changes = np.count_nonzero(np.diff(clipped.astype(int)) == 1)
    assert changes == IMAGES


@pytest.mark.parametrize("scope", ["image", "pool"])
def test_single_pixels_are_never_clipped(scope):
    chosen = [
        centres_of(built("random", 0), 2, radius=0, scope=scope, rounds=2, clipped=clipped)
        for clipped in ("last", "any")
    ]
    assert np.array_equal(*chosen)


def test_equal_scores_are_taken_from_every_side_of_the_image():
    # Of two classes half of the windows of noise have the highest impurity.
    ripu = built("ripu", 1, uncertainty=False)
    picks = [
        centres_of(ripu, 2, radius=1, scope="image", rounds=2, budget="5%", clipped=clipped)
        for clipped in ("last", "any")
    ]
    middle = np.array(SIZE) / 2
    spread, published = ((centres < middle).mean(axis=0) for centres in picks)
    # Three standard deviations of the share of some 35 picks.
    assert np.abs(spread - 0.5).max() < 0.26
    assert published[1] > 0.9

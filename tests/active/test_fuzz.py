"""Rounds on images of any size, with any scores, windows and budgets."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.rounds import hold_round

from alseg.active import OracleAnnotator
from alseg.config.budget import Budget
from alseg.errors import BudgetError
from alseg.labels import LabelStore, PoolImage, Windows, verify

KINDS = ("noise", "levels", "constant", "barred", "half barred", "infinite")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def scores(kind, shape, rng):
    values = rng.normal(size=shape)
    if kind == "levels":
        values = np.round(values)
    elif kind == "constant":
        values[:] = 0.5
    elif kind == "barred":
        values[:] = -np.inf
    elif kind == "half barred":
        values[rng.random(shape) < 0.5] = -np.inf
    elif kind == "infinite":
        values[rng.random(shape) < 0.1] = np.inf
    return torch.from_numpy(values)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), min_size=1, max_size=3),
    kind=st.sampled_from(KINDS),
    budget=st.one_of(
        st.floats(1e-9, 1.0, exclude_max=True),
        st.integers(1, 10**6).map(lambda number: f"{number} regions"),
    ),
    radius=st.one_of(st.integers(0, 3), st.integers(0, 80)),
    further=st.integers(0, 5),
    scope=st.sampled_from(["image", "pool"]),
    rounds=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=60)
def test_any_round_keeps_its_budget_and_leaves_a_sound_store(
    shapes, kind, budget, radius, further, scope, rounds, seed
):
    rng = np.random.default_rng(seed)
    truth = {f"image{i}": rng.choice([0, 1, 255], s).astype(np.uint8) for i, s in enumerate(shapes)}
    pool = [PoolImage(name, *label.shape) for name, label in truth.items()]
    whole = Budget.parse(budget)
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore.create(Path(folder) / "labels", pool, ["road", "sky"])
        for number in range(1, rounds + 1):
            result = hold_round(
                store,
                [(index, scores(kind, shape, rng)) for index, shape in enumerate(shapes)],
                OracleAnnotator(truth.__getitem__),
                number=number,
                rounds=rounds,
                budget=budget,
                region=Windows(radius, radius + further),
                scope=scope,
            )
            target = whole.targets(store.areas, number, rounds).sum()
            left = target - store.spent(whole.unit).sum()
            # The last region may be paid for by half, and none is larger than its image.
            largest = max(min(2 * radius + 1, h) * min(2 * radius + 1, w) for h, w in shapes)
            half = (largest if whole.unit == "pixels" else 1) / 2
            assert left >= -half
            assert result.shortfall == (round(left) if left > half else 0)
            if kind == "barred":
                assert result.regions == 0
        found = verify(store.folder)
        assert found.problems == []
        assert found.pixels == store.asked_pixels <= sum(label.size for label in truth.values())
        for name, label in truth.items():
            assert np.array_equal(store.label(name)[store.asked(name)], label[store.asked(name)])


@given(st.one_of(st.floats(max_value=0), st.floats(min_value=1, exclude_min=True), st.just(0)))
def test_a_budget_of_nothing_or_of_more_than_all_is_refused(budget):
    with pytest.raises(BudgetError):
        Budget.parse(budget)
    with pytest.raises(BudgetError):
        Budget.parse(f"{100 * budget}%")

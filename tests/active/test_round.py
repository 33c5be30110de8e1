import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.archives import digests
from tests.helpers.processes import run_ranks
from tests.helpers.rounds import CASES, by_threads, hold_round, hold_rounds

from alseg.active import Annotator, OracleAnnotator, RoundRequest
from alseg.active.shortlist import Shortlist
from alseg.config.budget import Budget
from alseg.errors import ConfigError, LabelStoreError
from alseg.labels import LabelStore, PoolImage, Windows
from alseg.labels.regions.windows import drawn_order

CLASSES = ["road", "sky", "car"]
slow_enough = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


class Once(Annotator):
    """Answers by the truth of a run, and is asked about no pixel twice."""

    def __init__(self, run):
        self.run = run

    def label(self, image_id, asked):
        earlier = LabelStore.open(self.run.store.folder).asked(image_id)
        assert asked.any()
        assert not (asked & earlier).any()
        return OracleAnnotator(self.run.truth.__getitem__).label(image_id, asked)


@dataclass
class Run:
    """A whole run on random scores, in one process or in several threads that gather."""

    sizes: list
    budget: str
    rounds: int = 1
    radius: int = 1
    scope: str = "image"
    exclusion: int | None = None
    clipped: str = "last"
    seed: int = 0
    levels: int = 50
    ranks: int = 1

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.truth = {
            f"city/{i}": rng.choice([0, 1, 2, 255], size).astype(np.uint8)
            for i, size in enumerate(self.sizes)
        }
        self.images = [PoolImage(name, *label.shape) for name, label in self.truth.items()]

    def scores(self, number, index):
        rng = np.random.default_rng([self.seed, number, index])
        return torch.from_numpy(rng.integers(0, self.levels, self.sizes[index]) / 7.0).float()

    @property
    def region(self):
        return Windows(self.radius, self.exclusion, self.clipped)

    def hold(self, number):
        def process(rank):
            shard = range(rank, len(self.sizes), self.ranks)
            return hold_round(
                LabelStore.open(self.store.folder),
                ((index, self.scores(number, index)) for index in shard),
                Once(self),
                number=number,
                rounds=self.rounds,
                budget=self.budget,
                region=self.region,
                scope=self.scope,
            )

        results = by_threads(self.ranks, process)
        assert all(result == results[0] for result in results)
        return results[0]

    def go(self, folder):
        self.store = LabelStore.create(Path(folder) / "labels", self.images, CLASSES)
        self.results = [self.hold(number) for number in range(1, self.rounds + 1)]
        return self

    def open_pixels(self, name):
        """Whether each pixel of an image could still be the centre of a region."""
        image = self.truth[name]
        free = ~self.store.asked(name)
        exclusion = 2 * self.radius if self.exclusion is None else self.exclusion
        for number in range(1, self.store.rounds + 1):
            table = self.store.queries(name, number)
            for row, column in zip(table.rows, table.columns, strict=True) if table else ():
                top, left = max(row - exclusion, 0), max(column - exclusion, 0)
                free[top : row + exclusion + 1, left : column + exclusion + 1] = False
        assert free.shape == image.shape
        return free


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


runs = st.builds(
    Run,
    sizes=st.lists(st.tuples(st.integers(16, 64), st.integers(16, 64)), min_size=1, max_size=8),
    budget=st.floats(0.001, 0.3).map(str),
    rounds=st.integers(1, 5),
    radius=st.integers(0, 6),
    scope=st.sampled_from(["image", "pool"]),
    clipped=st.sampled_from(["last", "any"]),
    seed=st.integers(0, 1000),
    levels=st.sampled_from([1, 5, 10**6]),
)


@slow_enough
@given(runs, st.data())
def test_the_run_spends_its_budget_to_within_one_region(run, data):
    run.exclusion = data.draw(st.none() | st.integers(run.radius, 2 * run.radius + 3))
    with tempfile.TemporaryDirectory() as folder:
        run.go(folder)
        region, share = (2 * run.radius + 1) ** 2, float(run.budget)
        areas = np.array([height * width for height, width in run.sizes])
        asked = np.array([run.store.asked(name).sum() for name in run.truth])
        left = np.array([run.open_pixels(name).sum() for name in run.truth])
        shortfall = run.results[-1].shortfall

        missing = share * areas.sum() - asked.sum()
        assert missing >= -region
        if shortfall:
            assert shortfall == pytest.approx(missing, abs=1)
        else:
            assert missing <= region

        if run.scope == "image":
            assert (asked - share * areas).max() <= region
            assert (share * areas - asked)[left > 0].max(initial=0) <= 1.5 * region
            if shortfall:
                assert (asked >= share * areas)[left > 0].all()
        elif shortfall:
            assert not left.any()


@slow_enough
@given(runs)
def test_what_is_recorded_is_what_was_asked(run):
    with tempfile.TemporaryDirectory() as folder:
        run.go(folder)
        store, number = run.store, run.rounds
        for name, truth in run.truth.items():
            rounds = store.round_map(name)
            assert np.array_equal(store.label(name), np.where(rounds > 0, truth, 255))
            for earlier in range(1, number + 1):
                table, new = store.queries(name, earlier), rounds == earlier
                assert (table is not None) == new.any()
                if table:
                    assert table.asked.sum() == new.sum()
                    assert table.void.sum() == (new & (truth == 255)).sum()
                    assert table.asked.min() >= 1
                    index = list(run.truth).index(name)
                    scores = run.scores(earlier, index)[table.rows, table.columns]
                    assert np.array_equal(table.scores, scores.double().numpy())
        assert store.asked_pixels == sum(store.asked(name).sum() for name in run.truth)
        assert store.asked_pixels == sum(result.asked_pixels for result in run.results)
        assert store.void_pixels == sum(result.void_pixels for result in run.results)
        assert store.regions == sum(result.regions for result in run.results)


@settings(slow_enough, max_examples=12)
@given(runs)
def test_the_number_of_processes_changes_nothing(run):
    stores = []
    for ranks in (1, 2, 3):
        run.ranks = ranks
        with tempfile.TemporaryDirectory() as folder:
            stores.append(snapshot(run.go(folder).store.folder))
    assert stores[0] == stores[1] == stores[2]


@slow_enough
@given(runs, st.integers(1, 60))
def test_regions_are_counted_in_regions(run, regions):
    run.budget = f"{regions} regions"
    with tempfile.TemporaryDirectory() as folder:
        run.go(folder)
        spent = run.store.spent("regions")
        left = np.array([run.open_pixels(name).any() for name in run.truth])
        if run.scope == "image":
            assert (spent <= regions).all()
            assert (spent[left] == regions).all()
        else:
            assert spent.sum() == regions * len(spent) or not left.any()
        assert run.results[-1].shortfall == regions * len(spent) - spent.sum()


def one_choice_over_all(run, target):
    """The best regions of the whole pool by a plain loop over every pixel of every image.

    Those that the border clips come after all others, or by their scores.
    """
    k = run.radius
    maps = [run.scores(1, index).numpy().astype(np.float64) for index in range(len(run.sizes))]
    covered = [np.zeros(size, dtype=bool) for size in run.sizes]
    picks, spent = [], 0
    orders = [drawn_order(*size, seed=index).numpy() for index, size in enumerate(run.sizes)]
    border = [np.ones(size, dtype=bool) for size in run.sizes]
    for at_border in border:
        at_border[k : at_border.shape[0] - k, k : at_border.shape[1] - k] = False
    while max(scores.max() for scores in maps) > -np.inf:
        ranked = maps
        if run.clipped == "last":
            whole = [np.where(out, -np.inf, part) for part, out in zip(maps, border, strict=True)]
            ranked = whole if max(scores.max() for scores in whole) > -np.inf else maps
        best = max(range(len(maps)), key=lambda index: (ranked[index].max(), -index))
        equals = np.argwhere(ranked[best].max() == ranked[best].T)[:, ::-1]
        row, column = equals[0]
        if run.clipped == "last":
            row, column = min(equals, key=lambda centre: orders[best][tuple(centre)])
        window = slice(max(row - k, 0), row + k + 1), slice(max(column - k, 0), column + k + 1)
        cost = int((~covered[best][window]).sum())
        if abs(spent + cost - target) >= abs(spent - target):
            break
        picks.append((best, row, column))
        spent += cost
        covered[best][window] = True
        reach = 2 * k
        maps[best][
            max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1
        ] = -np.inf
    return picks


@slow_enough
@given(runs, st.integers(1, 3), st.booleans(), st.booleans())
def test_scope_pool_takes_the_best_regions_wherever_they_are(run, ranks, constant, large):
    run.scope, run.rounds, run.ranks, run.sizes = "pool", 1, ranks, run.sizes + [(16, 20)] * 4
    # Enough, at times, for clipped windows to be needed.
    run.budget = str(min(float(run.budget), 0.1) * 0.9993 * (8 if large else 1))
    run.levels = 1 if constant else 10**6
    run.__post_init__()
    with tempfile.TemporaryDirectory() as folder:
        run.go(folder)
        target = float(run.budget) * sum(height * width for height, width in run.sizes)
        expected = one_choice_over_all(run, target)
        found = set()
        for index, name in enumerate(run.truth):
            table = run.store.queries(name, 1)
            for row, column in zip(table.rows, table.columns, strict=True) if table else ():
                found.add((index, int(row), int(column)))
        assert found == set(expected)


@slow_enough
@given(runs, st.data())
def test_no_region_lies_within_the_exclusion_of_another_of_any_round(run, data):
    run.exclusion = data.draw(st.none() | st.integers(run.radius, 2 * run.radius + 3))
    exclusion = 2 * run.radius if run.exclusion is None else run.exclusion
    with tempfile.TemporaryDirectory() as folder:
        run.go(folder)
        for name in run.truth:
            tables = [run.store.queries(name, number) for number in range(1, run.rounds + 1)]
            centres = np.array(
                [
                    centre
                    for table in tables
                    if table
                    for centre in zip(table.rows, table.columns, strict=True)
                ]
            ).reshape(-1, 2)
            distance = np.abs(centres[:, None] - centres).max(axis=-1)
            assert (distance + np.eye(len(centres)) * 1000 > exclusion).all()


@given(seed=st.integers(0, 1000), need=st.floats(-5, 1600), exclusion=st.integers(3, 6))
def test_candidates_cost_what_they_are_the_first_to_cover(seed, need, exclusion):
    score = torch.from_numpy(np.random.default_rng(seed).random((40, 40)))
    nothing = np.zeros((40, 40), dtype=bool)
    found = Windows(3, exclusion, "any").candidates(
        score, need, unit="pixels", asked=nothing, barred=nothing
    )
    covered, costs = nothing.copy(), []
    for row, column in zip(found.rows, found.columns, strict=True):
        window = covered[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
        costs.append((~window).sum())
        window[:] = True
    assert found.costs.tolist() == costs
    assert (np.diff(found.scores) <= 0).all()
    assert sum(costs[:-1]) < max(need, 1)


def test_remainders_reach_the_images_that_were_left_out(tmp_path):
    run = Run([(16, 16)] * 4, budget=str(2 * 9 / 256), rounds=8, levels=10**6).go(tmp_path)
    asked = np.cumsum([result.asked_pixels for result in run.results])
    assert (abs(asked - 9 * np.arange(1, 9)) <= 4.5).all()
    assert (abs(run.store.spent("pixels") - 18) <= 9).all()


def test_a_small_image_does_not_get_more_than_its_share_as_a_ceiling_would_give(tmp_path):
    run = Run([(32, 32)] * 20, budget="1%", rounds=5, levels=10**6).go(tmp_path)
    assert run.store.labelled_fraction == pytest.approx(0.01, abs=4.5 / (20 * 1024))


def test_an_exhausted_pool_is_reported_and_others_are_not_overfilled(tmp_path):
    run = Run([(16, 16), (64, 64)], budget="60%", rounds=2, radius=1, exclusion=7).go(tmp_path)
    last = run.results[-1]
    assert last.unit == "pixels"
    assert last.shortfall == round(0.6 * (256 + 4096)) - run.store.asked_pixels
    assert last.shortfall > 1000


def test_a_pool_with_nothing_left_gives_an_empty_round_and_the_whole_shortfall(tmp_path):
    run = Run([(16, 16)], budget="100%", rounds=3, exclusion=15).go(tmp_path)
    assert run.results[-1].regions == 0
    assert run.results[-1].images == ()
    assert run.results[-1].shortfall == 256 - run.store.asked_pixels
    assert run.store.rounds == 3


def test_more_processes_than_images_are_no_trouble(tmp_path):
    run = Run([(16, 16)], budget="5%", rounds=2, ranks=3).go(tmp_path)
    assert run.store.asked_pixels == pytest.approx(0.05 * 256, abs=4.5)


def test_a_shortlist_forgets_what_cannot_be_chosen(tmp_path):
    run = Run([(32, 32)] * 30, budget="1%", scope="pool", levels=10**6)
    kept = []
    original = Shortlist.add

    def spy(self, index, candidates):
        original(self, index, candidates)
        kept.append(sum(int(part.costs.sum()) for part in self.images.values()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shortlist, "add", spy)
        run.go(tmp_path)
    assert len(kept) == 30
    assert max(kept) <= 2 * 0.01 * 30 * 1024 + 9


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ([(0, (16, 16))], "of 2 images it saw 1, and 0 twice"),
        (
            [(0, (16, 16)), (0, (16, 16)), (1, (20, 20))],
            r"city/0 came twice\. Check the pool's sampler",
        ),
        ([(0, (16, 16)), (1, (20, 21))], r"city/1 has the shape \(20, 21\); expected \(20, 20\)"),
    ],
)
def test_a_pool_that_is_not_seen_once_is_refused(tmp_path, shard, message):
    run = Run([(16, 16), (20, 20)], budget="5%")
    run.store = LabelStore.create(tmp_path, run.images, CLASSES)
    scores = ((index, torch.rand(size)) for index, size in shard)
    with pytest.raises(LabelStoreError, match=message):
        hold_round(run.store, scores, Once(run), number=1, rounds=1, budget="5%")


def test_a_scope_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="allowed are image and pool"):
        RoundRequest(1, 1, Budget.parse("5%"), Windows(), scope="city")


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool])
def test_an_answer_of_another_type_is_refused_and_not_cast(tmp_path, monkeypatch, dtype):
    run = Run([(16, 16)], budget="5%")
    monkeypatch.setattr(Once, "label", lambda self, image_id, asked: np.ones(asked.shape, dtype))
    with pytest.raises(LabelStoreError, match=r"answer for city/0 is .*expected uint8"):
        run.go(tmp_path)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("by-one")
    # One rank of a process group of its own, so that the very same program runs.
    run_ranks(hold_rounds, folder / "stores", ranks=1, folder=folder)
    return folder / "stores"


@pytest.mark.parametrize("ranks", [2, 3])
def test_any_number_of_processes_writes_the_same_bytes(by_one, tmp_path, ranks):
    run_ranks(hold_rounds, tmp_path / "stores", ranks=ranks, folder=tmp_path)
    expected = digests(by_one)
    assert len(expected) == len(CASES) * (
        1 + 2 * 2
    )  # The pool; manifest and archive of each round.
    assert digests(tmp_path / "stores") == expected


KEPT = [number for number, (_, budget, _) in enumerate(CASES) if budget != "60%"]


@pytest.mark.parametrize("number", KEPT)
def test_the_rounds_spend_the_budget_to_within_a_region(by_one, number):
    _, budget, images = CASES[number]
    store = LabelStore.open(by_one / str(number))
    if budget == "7 regions":
        assert store.regions == 7 * images
    else:
        assert abs(store.asked_pixels - 0.05 * (24 + number) * 31 * images) <= 4.5

import pytest
from tests.helpers.archives import digests
from tests.helpers.processes import run_ranks
from tests.helpers.rounds import CASES, hold_rounds

from alseg.labels import LabelStore


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

"""What figures and picks of a run are called on Weights & Biases, and which picks are listed."""

import pytest
from tests.helpers.archives import query_lines
from tests.helpers.stores import SIZES, random_store

from alseg.runs.run_summary import RunSummary
from alseg.runs.wandb_names import stage_names, summary_figures
from alseg.runs.wandb_round import picks_of


def test_the_figures_of_a_stage_have_the_names_that_are_logged():
    assert stage_names("val", ["road", "traffic light"]) == [
        "val/mIoU",
        "val/accuracy",
        "val/IoU/road",
        "val/IoU/traffic light",
    ]


def test_the_summary_has_figures_before_and_after_labels_and_seconds():
    known = {
        "wandb_id": "abc",
        "before": {"mIoU": 0.25, "IoU/road": None},
        "after": {"mIoU": 0.5, "IoU/road": 0.75},
        "labels": {"regions": 12, "clicks": 15, "shortfall": ""},
        "seconds": {"asking for labels": 1.5},
    }
    assert summary_figures(RunSummary(known)) == {
        "before/mIoU": 0.25,
        "after/mIoU": 0.5,
        "after/IoU/road": 0.75,
        "labels/regions": 12,
        "labels/clicks": 15,
        "seconds/asking_for_labels": 1.5,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("store"))[0]


def best_first(store, image_id, number):
    """Return the centres asked for in an image, as its file lists them."""
    lines = query_lines(store, number, image_id)
    return [tuple(map(int, line.split(",")[:2])) for line in lines]


def places(picks, image_id):
    return [(row, column) for name, row, column, *_ in picks if name == image_id]


def test_the_best_of_every_image_come_before_the_next_best_of_any(store):
    asked = {name: best_first(store, name, 2) for name in SIZES if best_first(store, name, 2)}
    assert len(asked) > 1
    whole = picks_of(store, 2)
    assert len(whole) == sum(map(len, asked.values()))
    assert {name: places(whole, name) for name in asked} == asked
    ranks = [asked[name].index((row, column)) for name, row, column, *_ in whole]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_no_more_rows_are_listed_than_allowed(store, rows):
    picks = picks_of(store, 1, rows)
    assert len(picks) == rows
    for name in {pick[0] for pick in picks}:
        assert places(picks, name) == best_first(store, name, 1)[: len(places(picks, name))]


def test_of_more_images_than_rows_those_are_read_that_are_evenly_spaced(store):
    asked = [name for name in SIZES if best_first(store, name, 1)]
    assert len(asked) == 3
    assert {pick[0] for pick in picks_of(store, 1, 2)} == {asked[0], asked[2]}

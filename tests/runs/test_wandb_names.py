import pytest

from alseg.cli.fit import checked_strategy
from alseg.config.run import config_from, dump_settings
from alseg.runs.wandb_names import method_of, stage_names, summary_figures


def method(active=True, **settings):
    """Return what a run with these settings is compared as, all others as a run has them."""
    config = checked_strategy(config_from({"strategy": "ripu", "budget": "0.01", **settings}))
    return method_of(dump_settings(config), active)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "ripu at 0.01"),
        ({"budget": "1%"}, "ripu at 0.01"),
        ({"budget": "40 clicks"}, "ripu at 40 clicks"),
        ({"protocol": "source_free"}, "ripu (source_free) at 0.01"),
        (
            {"head": "hyperbolic", "strategy_options": {"impurity": False}},
            "ripu (hyperbolic, impurity=False) at 0.01",
        ),
        ({"strategy_options": {"radius": 2}}, "ripu (radius=2) at 0.01"),
        # What it is where it is left open.
        ({"radius": 1}, "ripu at 0.01"),
        (
            {"protocol": "source_free", "radius": 4, "negative_weight": 0.0, "scope": "image"},
            "ripu (source_free, radius=4, negative_weight=0.0) at 0.01",
        ),
    ],
)
def test_runs_that_differ_in_more_than_their_seed_are_compared_apart(settings, told):
    assert method(**settings) == method(**settings, seed=5, steps=900) == told


@pytest.mark.parametrize(
    ("head", "told"), [("linear", "source_only"), ("hyperbolic", "source_only (hyperbolic)")]
)
def test_a_run_that_asks_for_no_labels_is_compared_as_its_protocol(head, told):
    assert method(False, protocol="source_only", head=head, radius=4) == told


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
    assert summary_figures(known) == {
        "before/mIoU": 0.25,
        "after/mIoU": 0.5,
        "after/IoU/road": 0.75,
        "labels/regions": 12,
        "labels/clicks": 15,
        "seconds/asking_for_labels": 1.5,
    }

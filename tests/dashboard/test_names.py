import pytest

from alseg.dashboard.names import method_of, stage_names, summary_figures


@pytest.mark.parametrize(
    ("protocol", "other", "method"),
    [
        ("source_target", {}, "ripu at 0.01"),
        ("source_free", {}, "ripu (source_free) at 0.01"),
        (
            "source_target",
            {"head": "hyperbolic", "strategy_options": {"impurity": False}},
            "ripu (hyperbolic, impurity=False) at 0.01",
        ),
        (
            "source_free",
            {"radius": 4, "negative_weight": 0.0, "steps": 900, "scope": "image"},
            "ripu (source_free, negative_weight=0.0, radius=4) at 0.01",
        ),
    ],
)
def test_runs_that_differ_in_more_than_their_seed_are_compared_apart(protocol, other, method):
    settings = {"strategy": "ripu", "budget": "0.01", "head": "linear", "strategy_options": {}}
    assert method_of({**settings, "protocol": protocol, **other}, active=True) == method


@pytest.mark.parametrize(
    ("head", "method"), [("linear", "source_only"), ("hyperbolic", "source_only (hyperbolic)")]
)
def test_a_run_that_asks_for_no_labels_is_compared_as_its_protocol(head, method):
    asking = {"strategy": "ripu", "budget": "0.01", "radius": 4}
    settings = {"protocol": "source_only", "head": head, **asking}
    assert method_of(settings, active=False) == method


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

import pytest

from alseg.dashboard.names import method_of, stage_names, summary_figures


@pytest.mark.parametrize(
    ("protocol", "active", "method"),
    [
        ("source_target", True, "ripu"),
        ("source_free", True, "ripu (source_free)"),
        ("source_only", False, "source_only"),
        ("fully_supervised", False, "fully_supervised"),
    ],
)
def test_a_run_that_asks_for_no_labels_is_compared_as_its_protocol(protocol, active, method):
    assert method_of(protocol, active, "ripu") == method


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

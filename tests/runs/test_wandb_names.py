from alseg.runs.wandb_names import stage_names, summary_figures


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

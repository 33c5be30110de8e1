import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alseg.data.label_space import LabelSpace, load_label_space
from alseg.training.metrics import SegmentationScores


def test_scores_of_a_matrix_worked_out_by_hand():
    scores = SegmentationScores(torch.tensor([[8, 2, 0], [1, 4, 0], [0, 0, 0]]))
    assert scores.iou[0] == pytest.approx(8 / 11)
    assert scores.iou[1] == pytest.approx(4 / 7)
    assert math.isnan(scores.iou[2])
    assert scores.miou == pytest.approx((8 / 11 + 4 / 7) / 2)
    assert scores.accuracy == pytest.approx(12 / 15)
    assert scores.miou_over([1, 2]) == pytest.approx(4 / 7)


def test_a_class_that_is_only_predicted_counts_with_an_iou_of_0():
    assert SegmentationScores(torch.tensor([[3, 1], [0, 0]])).miou == pytest.approx(0.375)


def test_figures_go_by_the_names_of_the_classes():
    space = LabelSpace("two", ("sky", "road"), ((0, 0, 0), (1, 1, 1)))
    figures = SegmentationScores(torch.eye(2)).as_dict(space)
    assert figures == {"mIoU": 1.0, "accuracy": 1.0, "IoU/sky": 1.0, "IoU/road": 1.0}


def test_on_synthia_the_mean_over_13_classes_leaves_out_wall_fence_and_pole():
    space = load_label_space("synthia16")
    right = [name in ("wall", "fence", "pole") for name in space.classes]
    wrong = torch.tensor([0 if is_right else 1 for is_right in right])
    figures = SegmentationScores(torch.diag(1 - wrong) + torch.diag(wrong).roll(1, 1)).as_dict(
        space
    )
    assert figures["mIoU*"] < figures["mIoU"]
    assert figures["mIoU"] * 16 == pytest.approx(
        13 * figures["mIoU*"] + sum(figures[f"IoU/{name}"] for name in ("wall", "fence", "pole"))
    )


def test_the_most_frequent_class_everywhere_reaches_its_share_over_the_classes_that_occur():
    # Of 40 pixels 30 are of class 1, none of class 2: IoU 30/40 and 0, over two classes.
    scores = SegmentationScores(torch.tensor([[0, 4, 6], [2, 20, 8], [0, 0, 0]]))
    assert scores.most_frequent == 1
    assert scores.miou_of_most_frequent == pytest.approx(30 / 40 / 2)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(any))
def test_it_is_the_miou_of_a_prediction_of_that_class_alone(pixels):
    scores = SegmentationScores(torch.diag(torch.tensor(pixels)))
    constant = torch.zeros(len(pixels), len(pixels), dtype=torch.int64)
    constant[:, scores.most_frequent] = torch.tensor(pixels)
    assert scores.miou_of_most_frequent == pytest.approx(SegmentationScores(constant).miou)


def test_without_a_labelled_pixel_there_is_no_most_frequent_class():
    assert math.isnan(SegmentationScores(torch.zeros(3, 3)).miou_of_most_frequent)

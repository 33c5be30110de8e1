from types import SimpleNamespace

import numpy as np
import pytest
from tests.helpers.toys import Toy

from alseg.active.annotators import OracleAnnotator
from alseg.errors import DatasetError


def test_the_oracle_tells_only_what_it_is_asked():
    truth = np.array([[1, 2, 255], [3, 4, 5]], dtype=np.uint8)
    asked = np.array([[True, False, True], [False, False, True]])
    answer = OracleAnnotator(lambda image_id: truth).label("a", asked)
    assert answer.dtype == np.uint8
    assert answer.tolist() == [[1, 255, 255], [255, 255, 5]]


class Flat(Toy):
    """Labels of 2×2 pixels that hold the position of their image."""

    def label(self, index):
        return np.full((2, 2), index, dtype=np.uint8)


def test_the_oracle_looks_up_a_data_set_by_name():
    oracle = OracleAnnotator.from_dataset(Flat(3, (2, 2)))
    assert oracle.label("train-002", np.eye(2, dtype=bool)).tolist() == [[2, 255], [255, 2]]


def test_the_oracle_refuses_a_data_set_without_labels():
    dataset = SimpleNamespace(ids=["a"], has_labels=False, name="folder", split="train")
    with pytest.raises(DatasetError, match="train split of folder has none"):
        OracleAnnotator.from_dataset(dataset)


def test_the_oracle_names_an_image_whose_label_has_another_size():
    oracle = OracleAnnotator(lambda image_id: np.zeros((2, 3), dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"street/7 is \(2, 3\), its image \(4, 6\)"):
        oracle.label("street/7", np.ones((4, 6), dtype=bool))

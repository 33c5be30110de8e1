"""A mask answers the windows that it covers, and no window that it only touches."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.asked import journal, make_round

from alseg.annotate.exchange import import_answers
from alseg.annotate.exchange.masks import NOTHING, answers_in_mask

CLASSES = ("road", "sky", "car")
SIZE = (9, 11)
CENTRES = (("a", 4, 5), ("a", 0, 0), ("a", 5, 6))
TOUCHED = [(row, column) for row in range(3, 6) for column in range(4, 7)]


@pytest.fixture
def asked(tmp_path):
    return make_round(tmp_path / "run", classes=CLASSES, centres=CENTRES[:2], sizes={"a": SIZE})


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cover")
    return make_round(folder, classes=CLASSES, centres=CENTRES, sizes={"a": SIZE})


def pixel(row, column):
    """A polygon around the centre of one pixel."""
    return [column, row, column + 1, row, column + 1, row + 1, column, row + 1]


def runs(held):
    """Run lengths, down the columns, of the pixels for which ``held`` says so."""
    counts, current = [0], False
    for column in range(SIZE[1]):
        for row in range(SIZE[0]):
            if held(row, column) != current:
                counts.append(0)
                current = not current
            counts[-1] += 1
    return {"size": list(SIZE), "counts": counts}


def imported(asked, shapes):
    """Import COCO shapes (category, segmentation) of the image; return what was taken."""
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
        "annotations": [
            {"image_id": 1, "category_id": CLASSES.index(name), "segmentation": segmentation}
            for name, segmentation in shapes
        ],
    }
    run = asked.folder.parent.parent
    (run.parent / "coco.json").write_text(json.dumps(content))
    done = import_answers(run, run.parent / "coco.json")
    return done, journal(asked, "import") if sum(done.new.values()) else []


@pytest.mark.parametrize("place", TOUCHED)
@pytest.mark.parametrize("shape", ["polygon", "runs"])
def test_a_shape_of_one_pixel_answers_no_window_of_nine(asked, shape, place):
    held = [pixel(*place)] if shape == "polygon" else runs(lambda *other: other == place)
    done, answers = imported(asked, [("car", held)])
    assert (answers, done.unanswered, done.missing) == ([], 1, 2)


@pytest.mark.parametrize("left_out", TOUCHED)
def test_a_shape_that_leaves_one_pixel_of_a_window_out_does_not_answer_it(asked, left_out):
    done, answers = imported(asked, [("car", runs(lambda *other: other != left_out))])
    # It covers the window in the corner, which is clipped to 2 by 2 pixels.
    assert answers == [("r001-q000002", 2)]
    assert done.missing == 1


def test_shapes_of_one_class_cover_a_window_together(asked):
    halves = [[[3, 2, 6, 2, 6, 7, 3, 7]], [[6, 2, 9, 2, 9, 7, 6, 7]]]
    answers = imported(asked, [("sky", half) for half in halves])[1]
    assert answers == [("r001-q000001", 1)]


def test_two_classes_in_a_window_make_it_mixed_and_answer_the_parts_that_they_cover(asked):
    _, answers = imported(asked, [("sky", [pixel(3, 4)]), ("car", [pixel(5, 6)])])
    # The first quadrant of a window of 3 by 3 is its first pixel; the last has four.
    assert answers == [("r001-q000001", "mixed"), ("r001-q000001.1", 1)]


@given(st.lists(st.sampled_from([NOTHING, 0, 1, 3]), min_size=99, max_size=99))
def test_a_whole_answer_means_that_every_pixel_of_the_window_has_it(overlapping, codes):
    mask = np.array(codes, dtype=np.int16).reshape(SIZE)
    answers = {}
    in_part = answers_in_mask(overlapping, "a", mask, answers)
    for name, answer in answers.items():
        query = overlapping.find(name)
        window = mask[query.top : query.bottom, query.left : query.right]
        if answer == "mixed":
            assert len(set(window.flat) - {NOTHING}) > 1
        else:
            assert set(window.flat) == {3 if answer == "void" else answer}
    for name in in_part:
        query = overlapping.find(name)
        held = set(mask[query.top : query.bottom, query.left : query.right].flat)
        assert NOTHING in held
        assert len(held) == 2

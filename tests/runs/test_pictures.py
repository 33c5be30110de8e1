import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from alseg.data import LabelSpace
from alseg.runs.pictures import (
    colour_labels,
    contours,
    legend,
    overlay,
    picks_picture,
    save_png,
    score_picture,
)

SPACE = LabelSpace("three", ("road", "sky", "car"), ((10, 20, 30), (200, 100, 0), (0, 0, 255)))
IMAGE = np.full((2, 2, 3), 100, np.uint8)
LABEL = np.array([[0, 1], [2, 255]], np.uint8)


def test_labels_take_the_colours_of_their_classes_and_void_is_black():
    expected = [[[10, 20, 30], [200, 100, 0]], [[0, 0, 255], [0, 0, 0]]]
    assert np.array_equal(colour_labels(LABEL, SPACE), expected)


# Of four classes and void, with a class in one pixel, at the border and in touch at a corner alone.
HAND_MADE = np.array(
    [
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 2, 0, 0, 255],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [2, 2, 0, 0, 0, 0],
    ],
    np.uint8,
)


def has_another_neighbour(label, row, column):
    """Whether one of the four pixels beside one has another class, looked at one by one."""
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        at = row + down, column + across
        inside = 0 <= at[0] < label.shape[0] and 0 <= at[1] < label.shape[1]
        if inside and label[at] != label[row, column]:
            return True
    return False


def plain_overlay(image, label, alpha, clear):
    picture = image.tolist()
    for row, column in np.ndindex(label.shape):
        train_id = int(label[row, column])
        if train_id == 255 or train_id in clear:
            continue
        colour = SPACE.colors[train_id]
        share = 1.0 if has_another_neighbour(label, row, column) else alpha
        picture[row][column] = [
            round((1 - share) * old + share * new)
            for old, new in zip(picture[row][column], colour, strict=True)
        ]
    return picture


def test_contours_are_the_pixels_beside_another_class():
    drawn = ["...##.", "..####", ".#####", "..#..#", "##....", "###..."]
    assert contours(HAND_MADE).tolist() == [[sign == "#" for sign in row] for row in drawn]


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        elements=st.sampled_from([0, 1, 2, 255]),
    )
)
def test_contours_of_any_labels_are_those_of_a_plain_loop(label):
    expected = [
        [has_another_neighbour(label, r, c) for c in range(label.shape[1])]
        for r in range(label.shape[0])
    ]
    assert contours(label).tolist() == expected


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("clear", [(), (0,), (1, 2)])
def test_an_overlay_fills_weakly_draws_contours_and_leaves_void_and_clear_classes(alpha, clear):
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    before = image.copy()
    picture = overlay(image, HAND_MADE, SPACE, alpha, clear)
    assert picture.tolist() == plain_overlay(image, HAND_MADE, alpha, clear)
    assert np.array_equal(image, before)


def test_a_legend_shows_the_colours_asked_for_and_no_others():
    strip = legend(SPACE, width=120, present={0, 2})
    assert strip.shape[1] == 120
    colours = {tuple(colour) for colour in strip.reshape(-1, 3).tolist()}
    assert {(10, 20, 30), (0, 0, 255)} <= colours
    assert (200, 100, 0) not in colours


def test_a_narrow_legend_grows_downwards():
    assert legend(SPACE, width=70).shape[0] > legend(SPACE, width=400).shape[0]


def test_scores_run_from_black_to_pale_yellow():
    picture = score_picture(np.array([[-1.0, 0.0, 1.0]], np.float32))
    assert picture.tolist() == [[[0, 0, 0], [170, 40, 95], [255, 245, 160]]]


def test_a_constant_score_is_black():
    assert not score_picture(np.full((3, 4), 0.7)).any()


@given(arrays.arrays(np.float64, (4, 5), elements=st.floats(-1e6, 1e6)))
def test_a_higher_score_is_never_darker(score):
    brightness = score_picture(score).astype(int).sum(-1).ravel()
    # Three channels, each rounded by up to a half.
    assert (np.diff(brightness[np.argsort(score, axis=None)]) >= -2).all()


def test_picks_are_coloured_over_a_grey_image():
    asked = np.array([[True, True], [False, False]])
    now = np.array([[False, True], [False, False]])
    picture = picks_picture(IMAGE, asked, now)
    assert picture[0, 0].tolist() == [60, 160, 255]
    assert picture[0, 1].tolist() == [255, 215, 0]
    assert picture[1, 1].tolist() == [114, 114, 114]
    assert (picks_picture(IMAGE, asked)[0] == [60, 160, 255]).all()


@pytest.mark.parametrize(("array", "mode"), [(IMAGE, "RGB"), (LABEL, "L")])
def test_png_keeps_every_value_and_makes_its_folders(array, mode, tmp_path):
    path = tmp_path / "a/b/c.png"
    save_png(path, array)
    with Image.open(path) as image:
        assert image.mode == mode
        assert np.array_equal(image, array)

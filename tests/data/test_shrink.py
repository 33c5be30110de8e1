"""Shrinking label maps, against a plain loop."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alseg.data.shrink import shrink_labels


def by_plain_loops(label, size, ignore_index=255):
    """The definition, a cell and a pixel at a time, in exact fractions."""
    result = np.full(size, ignore_index, dtype=np.uint8)
    step = [Fraction(label.shape[axis], size[axis]) for axis in (0, 1)]

    def pixels(cell, axis):
        """The pixels whose centres lie in a cell; along an axis that grows, the nearest."""
        first, last = cell * step[axis], (cell + 1) * step[axis]
        if step[axis] <= 1:
            return [int((cell + Fraction(1, 2)) * step[axis])]
        return [p for p in range(label.shape[axis]) if first <= p + Fraction(1, 2) < last]

    for row in range(size[0]):
        for column in range(size[1]):
            y, x = (int((c + Fraction(1, 2)) * s) for c, s in zip((row, column), step, strict=True))
            if label[y, x] != ignore_index:
                result[row, column] = label[y, x]
                continue
            votes = Counter(label[p, q] for p in pixels(row, 0) for q in pixels(column, 1))
            votes.pop(ignore_index, None)
            if votes:
                result[row, column] = min(votes, key=lambda id_: (-votes[id_], id_))
    return result


label_maps = arrays(
    np.uint8,
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    elements=st.sampled_from([255, 255, 255, 255, 0, 1, 2, 254]),
    fill=st.nothing(),
)


@settings(max_examples=150, deadline=None)
@given(label=label_maps, height=st.integers(1, 16), width=st.integers(1, 16))
def test_it_agrees_with_the_plain_loop(label, height, width):
    before = label.copy()
    shrunk = shrink_labels(label, (height, width))
    assert shrunk.dtype == np.uint8
    assert np.array_equal(shrunk, by_plain_loops(label, (height, width)))
    assert np.array_equal(label, before)


@settings(max_examples=50, deadline=None)
@given(label=label_maps, height=st.integers(1, 14), width=st.integers(1, 14))
def test_another_value_can_be_the_one_without_a_label(label, height, width):
    shrunk = shrink_labels(label, (height, width), ignore_index=0)
    assert np.array_equal(shrunk, by_plain_loops(label, (height, width), ignore_index=0))


@settings(deadline=None)
@given(label=label_maps, factor=st.integers(1, 4))
def test_growing_by_whole_numbers_repeats_pixels(label, factor):
    size = (label.shape[0] * factor, label.shape[1] * factor)
    grown = label.repeat(factor, axis=0).repeat(factor, axis=1)
    assert np.array_equal(shrink_labels(label, size), grown)


@settings(deadline=None)
@given(label=label_maps, height=st.integers(1, 14), width=st.integers(1, 14))
def test_a_single_asked_for_pixel_is_never_lost_nor_moved_far(label, height, width):
    if height > label.shape[0] or width > label.shape[1]:
        return
    row, column = label.shape[0] // 2, label.shape[1] // 2
    label[...] = 255
    label[row, column] = 7
    found = np.argwhere(shrink_labels(label, (height, width)) == 7)
    assert len(found) == 1
    centre = (found[0] + 0.5) * label.shape / (height, width)
    assert (
        np.abs(centre - (row + 0.5, column + 0.5)) <= np.array(label.shape) / (height, width)
    ).all()


@pytest.mark.parametrize("ratio", [1.25, 1.6, 2.0, 2.4, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.2])
def test_asked_for_regions_survive(ratio, share):
    rng = np.random.default_rng(int(100 * ratio))
    shape = (240, 480)
    label = np.full(shape, 255, dtype=np.uint8)
    corners = []
    while 9 * len(corners) < share * label.size:
        row, column = int(rng.integers(shape[0] - 2)), int(rng.integers(shape[1] - 2))
        window = label[row : row + 3, column : column + 3]
        if (window == 255).all():
            window[...] = len(corners) % 251
            corners.append((row, column))
    size = (round(shape[0] / ratio), round(shape[1] / ratio))
    shrunk = shrink_labels(label, size)
    step = np.divide(shape, size)
    kept = 0
    for region, corner in enumerate(corners):
        top, left = np.floor(np.divide(corner, step)).astype(int)
        bottom, right = np.ceil(np.divide(np.add(corner, 3), step)).astype(int)
        kept += (shrunk[top:bottom, left:right] == region % 251).any()
    assert kept >= 0.99 * len(corners)


def test_a_map_of_that_size_comes_back_as_it_is():
    label = np.zeros((4, 5), dtype=np.uint8)
    assert shrink_labels(label, (4, 5)) is label

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alseg.errors import ConfigError
from alseg.labels.region_shape import (
    Box,
    available_shapes,
    check_region,
    read_region,
    write_region,
)
from alseg.labels.regions.windows import Windows

windows = st.builds(
    lambda radius, further, clipped: Windows(radius, radius + further, clipped),
    st.integers(0, 6),
    st.integers(0, 3),
    st.sampled_from(["last", "any"]),
)


@st.composite
def placed(draw):
    """Windows, the size of an image, and a few centres in it."""
    size = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    centre = st.tuples(st.integers(0, size[0] - 1), st.integers(0, size[1] - 1))
    return draw(windows), size, draw(st.lists(centre, min_size=1, max_size=6))


def first_to_hold(size, centres, radius):
    """Which window holds each pixel first, by a plain loop."""
    expected = np.full(size, -1)
    for y in range(size[0]):
        for x in range(size[1]):
            for place, (row, column) in reversed(list(enumerate(centres))):
                if abs(y - row) <= radius and abs(x - column) <= radius:
                    expected[y, x] = place
    return expected


@given(placed())
def test_owners_and_exclusions_are_those_of_a_plain_loop(drawn):
    region, size, centres = drawn
    rows, columns = np.array(centres, dtype=np.int64).T
    expected = first_to_hold(size, centres, region.radius)
    assert np.array_equal(region.owners(size, rows, columns), expected)
    barred = first_to_hold(size, centres, region.exclusion) >= 0
    assert np.array_equal(region.barred(size, rows, columns), barred)


@given(placed())
def test_an_outline_is_the_box_of_the_pixels_that_a_region_owns(drawn):
    region, size, centres = drawn
    for row, column in centres:
        own = first_to_hold(size, [(row, column)], region.radius) == 0
        held_rows, held_columns = np.nonzero(own.any(1))[0], np.nonzero(own.any(0))[0]
        box = Box(held_rows[0], held_columns[0], held_rows[-1] + 1, held_columns[-1] + 1)
        assert region.outline(size, row, column) == box
        assert box.pixels == own.sum() <= region.largest_cost(size)


@given(placed(), st.sampled_from(["quadrants", "pixels"]))
def test_the_parts_of_a_region_cover_it_and_do_not_overlap(drawn, split):
    region, size, centres = drawn
    box = region.outline(size, *centres[0])
    parts = region.parts(box, split)
    held = np.zeros(size, dtype=int)
    for part in parts:
        held[part.top : part.bottom, part.left : part.right] += 1
        row, column = part.centre
        assert part.top <= row < part.bottom
        assert part.left <= column < part.right
    expected = np.zeros(size, dtype=int)
    expected[box.top : box.bottom, box.left : box.right] = 1
    assert np.array_equal(held, expected) or (not parts and box.pixels == 1)
    assert len(parts) <= (4 if split == "quadrants" else box.pixels)
    assert region.parts(box, "drop") == ()


@given(windows)
def test_a_shape_survives_a_manifest(region):
    kept = json.loads(json.dumps(write_region(region)))
    assert kept["shape"] == "windows"
    assert read_region(kept) == region


def test_a_shape_that_the_strategy_left_open_is_kept_decided():
    assert write_region(Windows(3))["exclusion_radius"] == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "candidates"}, "allowed are image, windows"),
        ({"shape": "../windows"}, "allowed are image, windows"),
        ({"shape": ["windows"]}, "allowed are image, windows"),
        ({"radius": -1}, "a radius of its regions is invalid"),
        ({"radius": True}, "a radius of its regions is invalid"),
        ({"radius": 1 << 21}, "a radius of its regions is invalid"),
        ({"exclusion_radius": None}, "a radius of its regions is invalid"),
        ({"exclusion_radius": 0}, "use 1 or more"),
        ({"clipped": "no"}, "last and any"),
    ],
)
def test_a_shape_that_a_file_spells_wrong_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        read_region({**write_region(Windows(1)), **change})


def test_a_shape_that_a_file_lacks_is_refused():
    for kept in (None, [], {"shape": "windows"}):
        with pytest.raises(ValueError, match="the shape of its regions"):
            read_region(kept)


def test_the_shapes_are_the_files_of_their_folder():
    assert available_shapes() == ("image", "windows")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1}, "must be 0 or more"),
        ({"clipped": "no"}, "last and any"),
        ({"radius": 2, "exclusion_radius": 1}, "use 2 or more"),
    ],
)
def test_windows_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Windows(**options)


def test_a_shape_that_no_manifest_can_keep_is_refused():
    class Mine(Windows):
        name = "mine"

    check_region(Windows(2, 5))
    for region in (Mine(1), Windows(1), object()):
        with pytest.raises(ConfigError, match="a manifest cannot keep; allowed are"):
            check_region(region)

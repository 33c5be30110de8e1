import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.asked import CLASSES, COLORS, make_round

from alseg.errors import LabelStoreError
from alseg.labels import Windows
from alseg.queries.asked import AskedRound, Query


def test_an_image_of_another_size_is_refused(tmp_path):
    asked = make_round(tmp_path, size=(12, 17))
    other = make_round(tmp_path / "other", size=(13, 17)).folder / "images/city/a.png"
    (asked.folder / "images/city/a.png").write_bytes(other.read_bytes())
    with pytest.raises(LabelStoreError, match="is 13x17; it was 12x17"):
        asked.pixels_of("city/a")


def test_an_image_that_is_gone_is_named(tmp_path):
    asked = make_round(tmp_path)
    (asked.folder / "images/city/a.png").unlink()
    with pytest.raises(LabelStoreError, match=r"city/a\.png is gone") as raised:
        asked.pixels_of("city/a")
    assert str(raised.value).count("Put it back.") == 1


def one_query(split, top, left, bottom, right, row, column):
    query = Query("r001-q000001", "a", row, column, top, left, bottom, right, 1.0, 0)
    return query, AskedRound("here", 1, CLASSES, COLORS, Windows(3), split, {}, (query,))


@st.composite
def windows(draw):
    """A window around a centre, clipped by an image of 12 by 9 pixels."""
    row, column = draw(st.integers(0, 11)), draw(st.integers(0, 8))
    radius = draw(st.integers(0, 6))
    box = max(row - radius, 0), max(column - radius, 0)
    return *box, min(row + radius + 1, 12), min(column + radius + 1, 9), row, column


@given(window=windows(), split=st.sampled_from(["quadrants", "pixels"]))
def test_parts_cover_each_pixel_of_their_window_once(window, split):
    query, asked = one_query(split, *window)
    parts = asked.parts(query)
    if query.box.pixels == 1:
        assert parts == ()
        return
    times = np.zeros((12, 9), dtype=int)
    for part in parts:
        times[part.top : part.bottom, part.left : part.right] += 1
        assert 0 < part.box.pixels < query.box.pixels
        assert part.top <= part.row < part.bottom
        assert part.left <= part.column < part.right
    expected = np.zeros((12, 9), dtype=int)
    expected[window[0] : window[2], window[1] : window[3]] = 1
    assert np.array_equal(times, expected)


def test_quadrants_of_a_whole_window_meet_at_its_centre():
    query, asked = one_query("quadrants", 2, 3, 5, 6, 3, 4)
    boxes = [(part.top, part.left, part.bottom, part.right) for part in asked.parts(query)]
    assert boxes == [(2, 3, 3, 4), (2, 4, 3, 6), (3, 3, 5, 4), (3, 4, 5, 6)]


def test_parts_are_found_by_name_and_have_no_parts():
    query, asked = one_query("pixels", 0, 0, 2, 2, 0, 0)
    third = asked.find("r001-q000001.3")
    assert (third.top, third.left, third.box.pixels) == (1, 0, 1)
    assert asked.parts(third) == ()
    assert asked.find("r001-q000001") is query
    for unknown in ("", "r001-q000002", "r001-q000001.5", "r001-q000001.1.1", "r001-q000001.", "."):
        with pytest.raises(KeyError):
            asked.find(unknown)


def test_the_parts_of_a_window_are_made_once_however_often_one_is_looked_for(monkeypatch):
    query, asked = one_query("pixels", 0, 0, 7, 7, 3, 3)
    made = []
    parts = AskedRound.parts
    monkeypatch.setattr(AskedRound, "parts", lambda *args: made.append(args) or parts(*args))
    for number in range(1, 50):
        assert asked.find(f"{query.id}.{number}").box.pixels == 1
    assert len(made) == 1


def test_a_dropped_window_has_no_parts():
    query, asked = one_query("drop", 0, 0, 3, 3, 1, 1)
    assert asked.parts(query) == ()

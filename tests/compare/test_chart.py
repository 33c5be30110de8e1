import math
import re
import xml.etree.ElementTree as ET

import pytest

from alseg.compare.report.chart import BLACK, Axis, Curve, Mark, line_chart, look, scatter_chart


def circles(chart):
    svg = ET.fromstring(chart).find("svg")
    return [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle")]


def test_marks_lie_where_their_values_say():
    chart = line_chart(
        "c", [Curve("a", [Mark(1, 10), Mark(2, 30), Mark(4, 20)], look(0))], "x", "y"
    )
    (x1, y1), (x2, y2), (x3, y3) = circles(chart)
    assert (x3 - x2) / (x2 - x1) == pytest.approx(2, abs=0.01)
    # Upwards on a screen is less.
    assert (y1 - y3) / (y1 - y2) == pytest.approx(0.5, abs=0.01)
    assert y1 > y3 > y2


def test_equal_ratios_take_equal_room_on_a_logarithmic_axis():
    marks = [Mark(0.1, 1), Mark(1, 2), Mark(10, 3)]
    chart = line_chart("c", [Curve("a", marks, look(0))], "x", "y", logarithmic=True)
    (x1, _), (x2, _), (x3, _) = circles(chart)
    assert x3 - x2 == pytest.approx(x2 - x1, abs=0.2)


def test_ticks_are_round_numbers_within_the_axis():
    assert Axis([0.2, 0.8], 0, 100).ticks == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert Axis([12.0, 88.0], 0, 100).ticks == [20, 40, 60, 80]
    assert Axis([0.1, 5.0], 0, 100, logarithmic=True).ticks == (
        pytest.approx([0.1, 0.2, 0.5, 1, 2, 5])
    )


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [math.nan]])
def test_an_axis_of_one_value_or_none_still_has_a_width(values):
    axis = Axis(values, 0, 100)
    assert 0 < axis(values[0] if values and math.isfinite(values[0]) else 0.5) < 100


def test_level_lines_cross_the_whole_chart_and_nan_is_never_drawn():
    curves = [
        Curve("a", [Mark(1, 10, 2), Mark(2, math.nan)], look(0)),
        Curve("top", [Mark(math.nan, 12)], BLACK, is_level=True),
    ]
    chart = line_chart("c", curves, "x", "y")
    assert "nan" not in chart
    assert len(circles(chart)) == 1
    levels = [e.get("d") for e in ET.fromstring(chart).find("svg").iter("path")]
    assert any(re.fullmatch(r"M56 ([\d.]+)L542 \1", path) for path in levels)


def test_names_are_text_and_nothing_else():
    chart = scatter_chart("a & b", [("<g>", look(0), [(1, 2, "<script>"), (3, 4, "b")])], "x", "y")
    assert ET.fromstring(chart).find("svg").get("aria-label") == "a & b"
    assert "<script>" not in chart


def test_a_mark_that_lies_nowhere_is_no_level_line():
    chart = line_chart("c", [Curve("a", [Mark(math.nan, 12)], look(0))], "x", "y")
    assert circles(chart) == []
    drawn = ET.fromstring(chart).find("svg").iter("path")
    assert all(path.get("stroke") is None for path in drawn)


def test_bars_at_the_same_place_are_drawn_side_by_side_and_others_where_they_are():
    style = look(0)
    curves = [Curve(name, [Mark(1, 10, 2), Mark(3, 10)], style) for name in "abc"]
    places = circles(line_chart("c", [*curves, Curve("d", [Mark(2, 10, 1)], style)], "x", "y"))
    firsts, lasts = [x for x, _ in places[:6:2]], [x for x, _ in places[1:6:2]]
    assert [x - firsts[1] for x in firsts] == pytest.approx([-4, 0, 4])
    assert len(set(lasts)) == 1
    assert places[6][0] == pytest.approx((firsts[1] + lasts[0]) / 2, abs=0.2)


def test_no_two_of_twenty_variants_look_the_same():
    assert len({look(place) for place in range(20)}) == 20

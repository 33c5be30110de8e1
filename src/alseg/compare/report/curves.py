"""What the labels bought: mIoU against what was labelled."""

from __future__ import annotations

import math
from collections.abc import Callable

from alseg.compare.comparison import Comparison, Point
from alseg.compare.report.chart import Curve, Mark, line_chart
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.report.shown import looks
from alseg.compare.tables import (
    AREA_NOTE,
    PAIR_NOTE,
    area_table,
    main_table,
    notes,
    pair_tables,
)

_Figure = tuple[str, Callable[[Point], tuple[float, float]]]
"""What a chart shows, and the mean and deviation of it over the runs of a point."""

WIDE = 8.0
"""Budgets of which the largest is more than so many times the smallest are spread by ratio."""


def curves_section(comparison: Comparison) -> str:
    """Return the section with mIoU over labels, the areas and the differences."""
    of_pool = ("labelled share of the pool's pixels in %", lambda p: 100 * p.share)
    of_people = ("clicks", lambda p: p.clicks)
    miou: _Figure = "mIoU in %", lambda point: point.miou
    charts = [
        _chart(comparison, "mIoU against the labelled share of the pool", *of_pool, *miou),
        _chart(comparison, "mIoU against clicks", *of_people, *miou),
    ]
    if "fully_supervised" in comparison.bounds:
        name = "mIoU in per cent of full supervision"
        of_full: _Figure = "mIoU in % of full supervision", comparison.of_upper
        charts += [
            _chart(comparison, f"{name} against the labelled share", *of_pool, *of_full),
            _chart(comparison, f"{name} against clicks", *of_people, *of_full),
        ]
    parts = [
        f'<div class="charts">{"".join(charts)}</div>',
        paragraph(
            "Points are means over the seeds, bars and bands one standard deviation. Where bars "
            "would hide one another, they are drawn a little to the side."
        ),
        table("mIoU of every variant and budget", main_table(comparison)),
        paragraph(notes(comparison)),
    ]
    areas = area_table(comparison)
    if len(areas) > 1:
        parts += [table("area under mIoU against labelled share", areas), paragraph(AREA_NOTE)]
    else:
        parts.append(
            paragraph(
                "No area: there are not two budgets of the baseline that all variants with two of "
                "them have, or the labelled shares that the variants reached with them have no "
                "range in common."
            )
        )
    if pairs := pair_tables(comparison):
        parts += [table(f"differences at {budget}", rows) for budget, rows in pairs.items()]
        parts.append(paragraph(PAIR_NOTE))
    return section("curves", "What the labels bought", *parts)


def _chart(
    comparison: Comparison,
    name: str,
    x_label: str,
    across: Callable[[Point], float],
    y_label: str,
    up: Callable[[Point], tuple[float, float]],
) -> str:
    """Return a chart of all variants; ``up`` tells mean and deviation of what it shows."""
    curves, styles = [], looks(comparison)
    for variant in comparison.variants:
        points = [point for point in comparison.points if point.variant == variant]
        marks = [_mark(across(point), *up(point)) for point in points]
        curves.append(Curve(variant, sorted(marks), styles[variant]))
    for bound in comparison.bounds.values():
        mark = _mark(math.nan, *up(bound))
        if math.isfinite(mark.y):
            curves.append(Curve(bound.variant, [mark], styles[bound.variant], is_level=True))
    places = [mark.x for curve in curves for mark in curve.marks if math.isfinite(mark.x)]
    wide = bool(places) and min(places) > 0 and max(places) / min(places) > WIDE
    return line_chart(name, curves, x_label, y_label, logarithmic=wide)


def _mark(x: float, mean: float, deviation: float) -> Mark:
    return Mark(x, 100 * mean, 100 * deviation)

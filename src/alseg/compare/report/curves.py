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

WIDE = 8.0
"""Budgets of which the largest is more than so many times the smallest are spread by ratio."""


def curves_section(comparison: Comparison) -> str:
    """Return the section with mIoU over labels, the areas and the differences."""
    of_pool = ("labelled share of the pool's pixels in %", lambda p: 100 * p.share)
    of_people = ("clicks", lambda p: p.clicks)
    charts = [
        _chart(comparison, "mIoU against the labelled share of the pool", *of_pool, 1.0),
        _chart(comparison, "mIoU against clicks", *of_people, 1.0),
    ]
    if not math.isnan(comparison.upper):
        name = "mIoU in per cent of full supervision"
        charts += [
            _chart(comparison, f"{name} against the labelled share", *of_pool, comparison.upper),
            _chart(comparison, f"{name} against clicks", *of_people, comparison.upper),
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
        parts.append(paragraph("No area: it takes two budgets of the baseline."))
    if pairs := pair_tables(comparison):
        parts += [table(f"differences at {budget}", rows) for budget, rows in pairs.items()]
        parts.append(paragraph(PAIR_NOTE))
    return section("curves", "What the labels bought", *parts)


def _chart(
    comparison: Comparison, name: str, x_label: str, across: Callable[[Point], float], unit: float
) -> str:
    """Return a chart of all variants; ``unit`` is the mIoU that counts as 100."""
    curves, styles = [], looks(comparison)
    for variant in comparison.variants:
        marks = [_mark(p, across(p), unit) for p in comparison.points if p.variant == variant]
        curves.append(Curve(variant, sorted(marks), styles[variant]))
    for bound in comparison.bounds.values():
        mark = _mark(bound, math.nan, unit)
        curves.append(Curve(bound.variant, [mark], styles[bound.variant], is_level=True))
    places = [mark.x for curve in curves for mark in curve.marks if math.isfinite(mark.x)]
    wide = bool(places) and min(places) > 0 and max(places) / min(places) > WIDE
    y_label = "mIoU in %" if unit == 1.0 else "mIoU in % of full supervision"
    return line_chart(name, curves, x_label, y_label, logarithmic=wide)


def _mark(point: Point, x: float, unit: float) -> Mark:
    mean, deviation = point.miou
    return Mark(x, 100 * mean / unit, 100 * deviation / unit)

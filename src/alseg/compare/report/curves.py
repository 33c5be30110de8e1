"""What the labels bought: mIoU against what was labelled."""

from __future__ import annotations

import math
from collections.abc import Callable

from alseg.compare.comparison import Comparison, Point
from alseg.compare.report.chart import Curve, Mark, line_chart
from alseg.compare.report.markup import paragraph, section, table
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
    against_share = _chart(
        comparison,
        "mIoU against the labelled share of the pool",
        lambda p: 100 * p.share,
        "labelled share of the pool's pixels in %",
        1.0,
    )
    against_clicks = _chart(comparison, "mIoU against clicks", lambda p: p.clicks, "clicks", 1.0)
    charts = [against_share, against_clicks]
    if not math.isnan(comparison.upper):
        charts.append(
            _chart(
                comparison,
                "mIoU in per cent of full supervision",
                lambda p: 100 * p.share,
                "labelled share of the pool's pixels in %",
                comparison.upper,
            )
        )
    parts = [
        f'<div class="charts">{"".join(charts)}</div>',
        paragraph("Points are means over the seeds, bars and bands one standard deviation."),
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
    comparison: Comparison, name: str, across: Callable[[Point], float], x_label: str, unit: float
) -> str:
    """Return a chart of all variants; ``unit`` is the mIoU that counts as 100."""
    curves = []
    for variant in comparison.variants:
        marks = [_mark(p, across(p), unit) for p in comparison.points if p.variant == variant]
        curves.append(Curve(variant, sorted(marks)))
    curves += [Curve(p.variant, [_mark(p, math.nan, unit)]) for p in comparison.bounds.values()]
    places = [mark.x for curve in curves for mark in curve.marks if math.isfinite(mark.x)]
    wide = bool(places) and min(places) > 0 and max(places) / min(places) > WIDE
    y_label = "mIoU in %" if unit == 1.0 else "mIoU in % of full supervision"
    return line_chart(name, curves, x_label, y_label, logarithmic=wide)


def _mark(point: Point, x: float, unit: float) -> Mark:
    mean, deviation = point.miou
    return Mark(x, 100 * mean / unit, 100 * deviation / unit)

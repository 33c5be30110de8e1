"""Where picks fall: near boundaries, and on what the network had wrong."""

from __future__ import annotations

import numpy as np

from alseg.compare.comparison import Comparison
from alseg.compare.evidence import Evidence
from alseg.compare.precision import PRECISION, PRECISION_NOTE, precision_table
from alseg.compare.report.chart import GREY
from alseg.compare.report.classes import NO_ROUNDS, shares_of
from alseg.compare.report.distance import distance_chart, distance_curve
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.report.shown import looks, shown_points
from alseg.runs.analysis import DISTANCES, SAMPLE


def places_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with distances from class boundaries, and with precision."""
    curves, errors, pool, styles = [], [], None, looks(comparison)
    for name, point in shown_points(comparison).items():
        sums = evidence.sums(point.runs)
        if "picked_distances" in sums:
            shares = [shares_of(sums[which]) for which in ("pool_distances", "picked_distances")]
            pool = pool or distance_curve("the whole pool", shares[0], GREY)
            curves.append(distance_curve(name, shares[1], styles[point.variant]))
        if "distance_wrong" in sums:
            with np.errstate(invalid="ignore"):  # No pixels: NaN, which is not drawn.
                wrong = sums["distance_wrong"] / sums["distance_pixels"]
            errors.append(distance_curve(name, wrong, styles[point.variant]))
    charts, parts = [], []
    if pool is not None:
        title = "How far picks lie from class boundaries"
        charts.append(distance_chart(title, [*curves, pool], "share of the picked pixels in %"))
    if errors:
        title = "What the network had wrong, by distance"
        charts.append(distance_chart(title, errors, "wrong before the rounds in %"))
    if charts:
        ends = ", ".join(f"{end:g}" for end in DISTANCES[1:-1])
        parts = [
            f'<div class="charts">{"".join(charts)}</div>',
            paragraph(
                f"In up to {SAMPLE} images spread over the pool, over all rounds and seeds. "
                f"Shares of the ranges that end at {ends} pixels and beyond. A boundary is where a "
                "pixel and a neighbour differ in class, void counted as one. Errors far from "
                "boundaries tell whether the network forgets what is hardly asked about."
            ),
        ]
    precision = precision_table(comparison, evidence)
    if len(precision) > 1:
        parts += [table(PRECISION, precision), paragraph(PRECISION_NOTE)]
    return section("places", "Where picks fall", *(parts or [paragraph(NO_ROUNDS)]))

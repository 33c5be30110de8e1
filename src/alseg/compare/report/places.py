"""Where picks fall: near boundaries, and on what the network had wrong."""

from __future__ import annotations

import math

from alseg.compare.analysis import DISTANCES, Sums
from alseg.compare.comparison import Comparison
from alseg.compare.evidence import Evidence
from alseg.compare.report.chart import Curve, Mark, line_chart
from alseg.compare.report.classes import NO_ROUNDS
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.tables import percent

MIDDLES = (1.0, 2.1, 4.2, 8.5, 17.0, 34.0, 68.0)
"""Where the ranges of distances are drawn: their geometric middles, the open ones nearby."""


def places_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with distances from class boundaries, and with precision."""
    curves, pool = [], None
    for variant in comparison.variants:
        point = [p for p in comparison.points if p.variant == variant][-1]
        sums = evidence.sums(point)
        if "picked_distances" in sums:
            pool = pool or _curve("the whole pool", sums, "pool_distances")
            curves.append(_curve(f"{variant}, {point.budget}", sums, "picked_distances"))
    parts = []
    if pool is not None:
        ends = ", ".join(f"{end:g}" for end in DISTANCES[1:-1])
        parts = [
            line_chart(
                "How far picks lie from class boundaries",
                [*curves, pool],
                "distance from the nearest class boundary in pixels",
                "share of the picked pixels in %",
                logarithmic=True,
            ),
            paragraph(
                f"Shares of the ranges that end at {ends} pixels and beyond. A boundary is where a "
                "pixel and a neighbour differ in class, void counted as one."
            ),
        ]
    precision = _precision(comparison, evidence)
    if len(precision) > 1:
        parts += [
            table("Share of the picks that the network had wrong before the round", precision),
            paragraph(
                "In the images that were pictured, of pixels that have a class; in brackets the "
                "share of all pixels that it had wrong, which random picks would find. The lift "
                "is their ratio over all rounds."
            ),
        ]
    return section("places", "Where picks fall", *(parts or [paragraph(NO_ROUNDS)]))


def _precision(comparison: Comparison, evidence: Evidence) -> list[list[str]]:
    most = max((max(evidence.numbers(p), default=0) for p in comparison.points), default=0)
    rows = [["variant", "budget", *(f"round {n}" for n in range(1, most + 1)), "all", "lift"]]
    for point in comparison.points:
        total = evidence.sums(point)
        if "asked" not in total:
            continue
        cells = [_rates_text(evidence.sums(point, [n])) for n in range(1, most + 1)]
        hit, base = _rates(total)
        lift = "—" if math.isnan(hit) or not base > 0 else f"{hit / base:.2f}"
        rows.append([point.variant, point.budget, *cells, _rates_text(total), lift])
    return rows


def _rates(sums: Sums) -> tuple[float, float]:
    """Return the share of errors among the picks, and among all pixels."""
    if "asked" not in sums:
        return math.nan, math.nan
    asked, pixels = float(sums["asked"][0]), float(sums["pixels"][0])
    hit = float(sums["asked_wrong"][0]) / asked if asked else math.nan
    return hit, float(sums["wrong"][0]) / pixels if pixels else math.nan


def _rates_text(sums: Sums) -> str:
    hit, base = _rates(sums)
    return "—" if math.isnan(base) else f"{percent(hit)} ({percent(base)})"


def _curve(name: str, sums: Sums, which: str) -> Curve:
    share = 100 * sums[which] / max(sums[which].sum(), 1.0)
    return Curve(name, [Mark(x, y) for x, y in zip(MIDDLES, share.tolist(), strict=True)])

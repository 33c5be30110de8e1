"""Where picks fall: near boundaries, and on what the network had wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alseg.compare.analysis import DISTANCES, Sums
from alseg.compare.comparison import Comparison, Point
from alseg.compare.evidence import Evidence
from alseg.compare.report.chart import GREY, Curve, Look, Mark, line_chart
from alseg.compare.report.classes import NO_ROUNDS
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.report.shown import looks, shown_points
from alseg.compare.statistics import mean_and_deviation
from alseg.compare.tables import plus_minus

WRONG = "Share of the picks that the network had wrong before the round, in %"

MIDDLES = (1.0, 2.1, 4.2, 8.5, 17.0, 34.0, 68.0)
"""Where the ranges of distances are drawn: their geometric middles, the open ones nearby."""


def places_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with distances from class boundaries, and with precision."""
    curves, pool, styles = [], None, looks(comparison)
    for name, point in shown_points(comparison).items():
        sums = evidence.sums(point.runs)
        if "picked_distances" in sums:
            pool = pool or _curve("the whole pool", sums, "pool_distances", GREY)
            curves.append(_curve(name, sums, "picked_distances", styles[point.variant]))
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
                "In up to 32 images spread over the pool, over all rounds and seeds. "
                f"Shares of the ranges that end at {ends} pixels and beyond. A boundary is where a "
                "pixel and a neighbour differ in class, void counted as one."
            ),
        ]
    precision = _precision(comparison, evidence)
    if len(precision) > 1:
        parts += [
            table(WRONG, precision),
            paragraph(
                "In up to 32 images spread over the pool, of pixels that have a class: mean ± "
                "standard deviation over the seeds. In brackets is the share of all pixels that "
                "the network had wrong, which random picks would find. The lift is the ratio of "
                "the two over all rounds, the last column the picks of all seeds together."
            ),
        ]
    return section("places", "Where picks fall", *(parts or [paragraph(NO_ROUNDS)]))


def _precision(comparison: Comparison, evidence: Evidence) -> list[list[str]]:
    most = max((max(evidence.numbers(p), default=0) for p in comparison.points), default=0)
    rounds = range(1, most + 1)
    rows = [["variant", "budget", *(f"round {n}" for n in rounds), "all", "lift", "picks"]]
    for point in comparison.points:
        if "asked" not in evidence.sums(point.runs):
            continue
        by_round = [_rates_text(_of_runs(point, evidence, [n])) for n in rounds]
        whole = _of_runs(point, evidence)
        lifts = [hit / base for hit, base in map(_rates, whole) if base > 0 and not math.isnan(hit)]
        lift = f"{sum(lifts) / len(lifts):.2f}" if lifts else "—"
        picks = f"{sum(float(sums['asked'][0]) for sums in whole):,.0f}"
        rows.append([point.variant, point.budget, *by_round, _rates_text(whole), lift, picks])
    return rows


def _of_runs(point: Point, evidence: Evidence, numbers: Sequence[int] | None = None) -> list[Sums]:
    """Return the sums of each run that tells what the network had wrong."""
    each = [evidence.sums([run], numbers) for run in point.runs]
    return [sums for sums in each if "asked" in sums]


def _rates(sums: Sums) -> tuple[float, float]:
    """Return the share of errors among the picks, and among all pixels; NaN for none of them."""
    asked, pixels = float(sums["asked"][0]), float(sums["pixels"][0])
    hit = float(sums["asked_wrong"][0]) / asked if asked else math.nan
    return hit, float(sums["wrong"][0]) / pixels if pixels else math.nan


def _rates_text(each: list[Sums]) -> str:
    hits = [hit for hit, _ in map(_rates, each) if not math.isnan(hit)]
    bases = [base for _, base in map(_rates, each) if not math.isnan(base)]
    if not hits:
        return "—"
    base, _ = mean_and_deviation(bases)
    return f"{plus_minus(*mean_and_deviation(hits))} ({100 * base:.1f})"


def _curve(name: str, sums: Sums, which: str, look: Look) -> Curve:
    share = 100 * sums[which] / max(sums[which].sum(), 1.0)
    return Curve(name, [Mark(x, y) for x, y in zip(MIDDLES, share.tolist(), strict=True)], look)

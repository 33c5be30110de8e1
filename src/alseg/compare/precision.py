"""How many of the picks the network had wrong, round by round."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alseg.compare.comparison import Comparison, Point
from alseg.compare.evidence import Evidence
from alseg.compare.statistics import mean_and_deviation
from alseg.compare.tables import Table, plus_minus
from alseg.runs.analysis import SAMPLE, Sums

PRECISION = "Share of the picks that the network had wrong before the round, in %"

PRECISION_NOTE = (
    f"In up to {SAMPLE} images spread over the pool, of pixels that have a class: mean ± standard "
    "deviation over the seeds. In brackets is the share of all pixels that the network had wrong, "
    "which random picks would find. The lift is the ratio of the two over all rounds, in the mean "
    "of the seeds, the last column the pixels of these images that were asked for with all seeds "
    "together."
)


def precision_table(comparison: Comparison, evidence: Evidence) -> Table:
    """Return a row for every variant at every budget; only a heading where no run tells of it."""
    most = max((max(evidence.numbers(p), default=0) for p in comparison.points), default=0)
    rounds = range(1, most + 1)
    rows = [["variant", "budget", *(f"round {n}" for n in rounds), "all", "lift", "pixels asked"]]
    for point in comparison.points:
        whole = _of_runs(point, evidence)
        if not whole:
            continue
        by_round = [_rates_text(_of_runs(point, evidence, [n])) for n in rounds]
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

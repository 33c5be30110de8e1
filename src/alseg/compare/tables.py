"""The comparison as tables of text, and what has to be known to read them."""

from __future__ import annotations

import math

from alseg.compare.comparison import Comparison, Point, verdict
from alseg.compare.runs import BOUNDS
from alseg.compare.statistics import Interval, mean_and_deviation
from alseg.config.labelling_cost import ORACLE_CLICKS

Table = list[list[str]]
"""Rows of text, the first of them the heading."""


def main_table(comparison: Comparison) -> Table:
    """Return a row for every bound, and for every variant at every budget."""
    base = comparison.baseline
    heading = ["variant", "budget", "seeds", "mIoU", "% of full", "labelled", "clicks"]
    table = [[*heading, f"against {base}" if base else "against random"]]
    for point in points_with_bounds(comparison):
        table.append(
            [
                point.variant,
                point.budget or "—",
                str(len(point.runs)),
                plus_minus(*point.miou),
                _of_upper_text(comparison, point),
                percent(point.share, 2),
                "—" if math.isnan(point.clicks) else f"{point.clicks:,.0f}",
                difference_text(comparison.difference(point.variant, point.budget)),
            ]
        )
    return table


def _of_upper_text(comparison: Comparison, point: Point) -> str:
    text = plus_minus(*comparison.of_upper(point))
    paired = len(comparison.shares_of_upper(point))
    if not 0 < paired < len(point.seeds):
        return text
    return f"{text} (of {paired} seed{'' if paired == 1 else 's'})"


def area_table(comparison: Comparison) -> Table:
    """Return a row for every variant; only a heading where no area can be told."""
    base = comparison.baseline or "random"
    first, last = comparison.area_shares
    what = f"area from {percent(first, 2)} to {percent(last, 2)}"
    table = [["variant", "seeds", what, f"against {base}"]]
    for variant in comparison.variants:
        areas = list(comparison.areas(variant).values())
        if areas:
            told = difference_text(comparison.area_difference(variant))
            table.append([variant, str(len(areas)), plus_minus(*mean_and_deviation(areas)), told])
    return table


def pair_tables(comparison: Comparison) -> dict[str, Table]:
    """Return by budget how much more mIoU the variant of a row has than that of a column.

    The bounds are among them. Budgets with fewer than two variants are left out.
    """
    lower, upper = (comparison.bounds.get(protocol) for protocol in BOUNDS)
    tables = {}
    for budget in comparison.budgets:
        variants = [name for name in comparison.variants if comparison.point(name, budget)]
        if len(variants) > 1:
            there = [lower.variant] if lower else []
            there += [*variants, *([upper.variant] if upper else [])]
            heading = [f"at {budget}", *(f"− {name}" for name in there)]
            rows = [
                [name, *(_pair_text(comparison.difference(name, budget, o)) for o in there)]
                for name in there
            ]
            tables[budget] = [heading, *rows]
    return tables


AREA_NOTE = (
    "The area lies under mIoU against labelled share, from the smallest to the largest share that "
    "all curves cover, divided by its width: the mean mIoU over these shares. A curve has the "
    "budgets that all variants with two of them have."
)

PAIR_NOTE = (
    "Points of mIoU that the variant of a row has more than that of a column, paired by "
    "seed; n. d. is not distinguishable."
)


def notes(comparison: Comparison) -> str:
    """Return what has to be known to read the main table."""
    said = (
        "mIoU in per cent, and in per cent of full supervision with the same seed: mean ± standard "
        "deviation over the seeds, of the last checkpoints."
    )
    if comparison.asks_an_oracle:
        said = f"{said} {ORACLE_CLICKS}"
    if comparison.baseline is None:
        return f"{said} There is no run of the baseline to hold the others against."
    return (
        f"{said} Differences are in points of mIoU and paired by seed, with bootstrap intervals of "
        "95 % that are widened for the small number of seeds; where one holds 0, or there are too "
        "few seeds for one, the two are not distinguishable. Of many comparisons of what is alike "
        "one in twenty misleads."
    )


def plus_minus(mean: float, deviation: float) -> str:
    """Return a mean with its standard deviation, if there is one, in per cent; a dash for NaN."""
    if math.isnan(deviation):
        return "—" if math.isnan(mean) else f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share in per cent; a dash for NaN."""
    return "—" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def difference_text(difference: Interval | None) -> str:
    """Return a difference with its interval and what it says, in points."""
    if difference is None:
        return "—"
    points = f"{100 * difference.estimate:+.1f}"
    if not math.isnan(difference.low):
        points += f" ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    return f"{points}, {verdict(difference)}"


def _pair_text(difference: Interval | None) -> str:
    if difference is None:
        return "—"
    told = f"{100 * difference.estimate:+.1f}"
    return told if difference.excludes_zero else f"{told} n. d."


def points_with_bounds(comparison: Comparison) -> list[Point]:
    """Return the rows of the main table: the points between the bounds."""
    lower = comparison.bounds.get("source_only")
    upper = comparison.bounds.get("fully_supervised")
    return [point for point in (lower, *comparison.points, upper) if point is not None]

"""The comparison as tables: of text for a terminal and Markdown, of plain numbers for CSV."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from alseg.compare.comparability import choices_of, warnings_of
from alseg.compare.comparison import Comparison, Point, verdict
from alseg.compare.runs import BOUNDS
from alseg.compare.statistics import Interval, mean_and_deviation

WIDTH = 100
"""Characters in a line of prose in the terminal."""

Table = list[list[str]]
"""Rows of text, the first of them the heading."""

CSV_COLUMNS = (
    "variant",
    "budget",
    "seeds",
    "miou",
    "miou_deviation",
    "of_upper_bound",
    "labelled_share",
    "clicks",
    "difference",
    "difference_low",
    "difference_high",
    "verdict",
)


def main_table(comparison: Comparison) -> Table:
    """Return a row for every bound, and for every variant at every budget."""
    base = comparison.baseline
    heading = ["variant", "budget", "seeds", "mIoU", "% of full", "labelled", "clicks"]
    table = [[*heading, f"against {base}" if base else "against random"]]
    for point in _points(comparison):
        table.append(
            [
                point.variant,
                point.budget or "—",
                str(len(point.runs)),
                plus_minus(*point.miou),
                plus_minus(*comparison.of_upper(point)),
                percent(point.share, 2),
                "—" if math.isnan(point.clicks) else f"{point.clicks:,.0f}",
                difference_text(comparison.difference(point.variant, point.budget)),
            ]
        )
    return table


def area_table(comparison: Comparison) -> Table:
    """Return a row for every variant; only a heading where no area can be told."""
    base = comparison.baseline or "random"
    spanned = comparison.area_budgets
    what = f"area from {spanned[0]} to {spanned[-1]}" if len(spanned) > 1 else "area"
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


def csv_text(comparison: Comparison) -> str:
    """Return the main table as CSV; shares and mIoU lie in [0, 1], what is not known is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for point in _points(comparison):
        mean, deviation = point.miou
        difference = comparison.difference(point.variant, point.budget)
        numbers = [mean, deviation, comparison.of_upper(point)[0], point.share, point.clicks]
        held = difference or Interval(math.nan, math.nan, math.nan)
        writer.writerow(
            [
                point.variant,
                point.budget,
                " ".join(map(str, point.seeds)),
                *(_plain(number) for number in (*numbers, *held)),
                "" if difference is None else verdict(difference),
            ]
        )
    return buffer.getvalue()


def runs_csv(comparison: Comparison) -> str:
    """Return a row for every run as CSV, with the IoU of each class."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    points = _points(comparison)
    classes = list(points[0].runs[0].iou)
    columns = ["variant", "budget", "seed", "miou", "miou_before", "labelled_share", "clicks"]
    writer.writerow([*columns, *(f"iou_{name}" for name in classes), "folder"])
    for point in points:
        for run in point.runs:
            figures = [run.miou, run.start, run.share, run.clicks, *run.iou.values()]
            told = ["" if figure is None else _plain(figure) for figure in figures]
            writer.writerow([point.variant, point.budget, run.seed, *told, run.folder])
    return buffer.getvalue()


def markdown_text(comparison: Comparison) -> str:
    """Return the tables as Markdown, with what has to be known to read them."""
    title = f"# {len(comparison.runs)} runs compared"
    about = f"`{comparison.domains}`, as `alseg compare` found them."
    blocks = [title, about, _markdown(main_table(comparison))]
    blocks.append(notes(comparison))
    areas = area_table(comparison)
    if len(areas) > 1:
        blocks += [_markdown(areas), AREA_NOTE]
    if pairs := pair_tables(comparison):
        blocks += [*map(_markdown, pairs.values()), PAIR_NOTE]
    for title, lines in _differing(comparison):
        blocks += [f"{title}:", "\n".join(f"- {line}" for line in lines)]
    if comparison.left_out:
        lines = [f"- `{run.folder}`: {run.problem}" for run in comparison.left_out]
        blocks += ["Left out:", "\n".join(lines)]
    return "\n\n".join(blocks) + "\n"


def terminal_text(comparison: Comparison) -> str:
    """Return the tables for a terminal."""
    heading = f"{len(comparison.runs)} runs compared: {comparison.domains}"
    blocks = [heading, _aligned(main_table(comparison)), textwrap.fill(notes(comparison), WIDTH)]
    areas = area_table(comparison)
    if len(areas) > 1:
        blocks += [_aligned(areas), textwrap.fill(AREA_NOTE, WIDTH)]
    for title, told in _differing(comparison):
        blocks.append("\n".join([title, *(f"  {line}" for line in told)]))
    if comparison.left_out:
        lines = [f"  {run.folder}: {run.problem}" for run in comparison.left_out]
        blocks.append("\n".join(["left out", *lines]))
    return "\n\n".join(blocks)


DIFFER = "The variants differ, beside the strategy, in"
NOT_COMPARABLE = "Not all runs are comparable"

AREA_NOTE = (
    "The area lies under mIoU against labelled share, between the smallest and the largest budget "
    "that all variants with a curve have, divided by its width: the mean mIoU over these shares."
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
    if comparison.baseline is None:
        return f"{said} There is no run of the baseline to hold the others against."
    return (
        f"{said} Differences are in points of mIoU and paired by seed, with bootstrap intervals of "
        "95 % that are widened for the small number of seeds; where one holds 0, or there are too "
        "few seeds for one, the two are not distinguishable. Of many comparisons one in twenty "
        "misleads."
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


def _differing(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return what differs between the runs, by choice and otherwise, under its title."""
    found = [(DIFFER, choices_of(comparison)), (NOT_COMPARABLE, warnings_of(comparison))]
    return [(title, lines) for title, lines in found if lines]


def _points(comparison: Comparison) -> list[Point]:
    lower = comparison.bounds.get("source_only")
    upper = comparison.bounds.get("fully_supervised")
    return [point for point in (lower, *comparison.points, upper) if point is not None]


def _plain(number: float) -> Any:
    return "" if math.isnan(number) else f"{number:.6g}"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    heading, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table)
    return "\n".join(f"| {' | '.join(row)} |" for row in [heading, ["---"] * len(heading), *rows])


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(lines)

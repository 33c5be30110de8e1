"""The comparison as text: for a terminal, as Markdown, and as CSV."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from alseg.compare.cautions import cautions
from alseg.compare.comparison import Comparison, verdict
from alseg.compare.evidence import Evidence
from alseg.compare.precision import PRECISION, PRECISION_NOTE, precision_table
from alseg.compare.statistics import Interval
from alseg.compare.tables import (
    AREA_NOTE,
    PAIR_NOTE,
    area_table,
    main_table,
    notes,
    pair_tables,
    points_with_bounds,
)
from alseg.storage.spreadsheet import to_cell

WIDTH = 100
"""Characters in a line of prose in the terminal."""

CSV_COLUMNS = (
    "variant",
    "budget",
    "seeds",
    "miou",
    "miou_deviation",
    "of_upper_bound",
    "labelled_share",
    "clicks",
    "baseline",
    "difference",
    "difference_low",
    "difference_high",
    "verdict",
)


def csv_text(comparison: Comparison) -> str:
    """Return the main table as CSV; shares and mIoU lie in [0, 1], what is not known is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for point in points_with_bounds(comparison):
        mean, deviation = point.miou
        difference = comparison.difference(point.variant, point.budget)
        numbers = [mean, deviation, comparison.of_upper(point)[0], point.share, point.clicks]
        held = difference or Interval(math.nan, math.nan, math.nan)
        writer.writerow(
            [
                to_cell(point.variant),
                to_cell(point.budget),
                " ".join(map(str, point.seeds)),
                *map(_plain, numbers),
                "" if difference is None else to_cell(comparison.baseline),
                *map(_plain, held),
                "" if difference is None else verdict(difference),
            ]
        )
    return buffer.getvalue()


def runs_csv(comparison: Comparison) -> str:
    """Return a row for every run as CSV, with the IoU of each class."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    points = points_with_bounds(comparison)
    classes = list(points[0].runs[0].iou)
    columns = ["variant", "budget", "seed", "miou", "miou_before", "labelled_share", "clicks"]
    writer.writerow([*columns, *(f"iou_{name}" for name in classes), "folder"])
    for point in points:
        for run in point.runs:
            figures = [run.miou, run.start, run.share, run.clicks, *run.iou.values()]
            told = ["" if figure is None else _plain(figure) for figure in figures]
            names = to_cell(point.variant), to_cell(point.budget)
            writer.writerow([*names, run.seed, *told, to_cell(str(run.folder))])
    return buffer.getvalue()


def markdown_text(comparison: Comparison, evidence: Evidence) -> str:
    """Return the tables as Markdown, with what has to be known to read them."""
    title = f"# {comparison.title}"
    about = f"`{comparison.domains}`, as `alseg compare` found them."
    blocks = [title, about, _markdown(main_table(comparison))]
    blocks.append(notes(comparison))
    areas = area_table(comparison)
    if len(areas) > 1:
        blocks += [_markdown(areas), AREA_NOTE]
    if pairs := pair_tables(comparison):
        blocks += [*map(_markdown, pairs.values()), PAIR_NOTE]
    precision = precision_table(comparison, evidence)
    if len(precision) > 1:
        blocks += [f"{PRECISION}:", _markdown(precision), PRECISION_NOTE]
    for caution in cautions(comparison, evidence):
        blocks += [f"{caution.title}:", "\n".join(f"- {line}" for line in caution.lines)]
    return "\n\n".join(blocks) + "\n"


def terminal_text(comparison: Comparison, evidence: Evidence) -> str:
    """Return the tables for a terminal."""
    heading = f"{comparison.title}: {comparison.domains}"
    blocks = [heading, _aligned(main_table(comparison)), textwrap.fill(notes(comparison), WIDTH)]
    areas = area_table(comparison)
    if len(areas) > 1:
        blocks += [_aligned(areas), textwrap.fill(AREA_NOTE, WIDTH)]
    for caution in cautions(comparison, evidence):
        blocks.append("\n".join([f"{caution.title}:", *(f"  {line}" for line in caution.lines)]))
    return "\n\n".join(blocks)


def _plain(number: float) -> Any:
    if math.isnan(number):
        return ""
    return f"{number:.6g}" if number < 1e6 else f"{number:.0f}"


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

"""Which classes gained, and which were picked."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alseg.compare.comparison import Comparison, Point
from alseg.compare.evidence import Evidence
from alseg.compare.report.markup import heat_table, paragraph, section

NO_ROUNDS = "The runs wrote nothing down about their rounds that tells this."


def classes_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with IoU by class, and what was picked by class."""
    names = list(dict.fromkeys(name for run in comparison.runs for name in run.iou))
    rows = [(_name(p), _mean_iou(p, names)) for p in comparison.groups]
    parts = [heat_table("IoU in %, means over the seeds", ["", *names], rows)]
    shares = _pick_shares(comparison, evidence)
    if shares:
        highest = np.nanmax([values for _, values in shares], initial=0.0)
        caption = "Class share in %: of the pool, and of what was picked in all rounds"
        parts += [
            heat_table(caption, ["", *evidence.classes, "void"], shares, highest=float(highest)),
            paragraph(
                "Counted in a sample of pool images that is the same for every run; class shares "
                "are of the pixels that have a class, the share of void is of all that was picked."
            ),
        ]
    else:
        parts.append(paragraph(NO_ROUNDS))
    return section("classes", "Which classes gained, and which were picked", *parts)


def _pick_shares(comparison: Comparison, evidence: Evidence) -> list[tuple[str, list[float]]]:
    pool: tuple[str, list[float]] | None = None
    rows = []
    for point in comparison.points:
        sums = evidence.sums(point.runs)
        if "picked_classes" not in sums:
            continue
        if "pool_classes" in sums and pool is None:
            known = sums["pool_classes"]
            pool = "the pool", [*shares_of(known).tolist(), math.nan]
        picked, void = sums["picked_classes"], float(sums["picked_void"][0])
        of_void = shares_of(np.array([void, picked.sum()]))[0]
        rows.append((_name(point), [*shares_of(picked).tolist(), float(of_void)]))
    return rows if pool is None else [pool, *rows]


def shares_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return counts as shares of their sum; NaN for all where there is nothing."""
    total = counts.sum()
    return counts / total if total else np.full(counts.shape, np.nan)


def _mean_iou(point: Point, names: list[str]) -> list[float]:
    means = []
    for name in names:
        values = [value for run in point.runs if (value := run.iou.get(name)) is not None]
        means.append(sum(values) / len(values) if values else math.nan)
    return means


def _name(point: Point) -> str:
    return f"{point.variant}, {point.budget}" if point.budget else point.variant

"""What the hyperbolic radius goes with, and whether a Euclidean norm does the same."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alseg.compare.comparison import Comparison, Point
from alseg.compare.evidence import Evidence
from alseg.compare.report.chart import Curve, Look, Mark, line_chart, scatter_chart
from alseg.compare.report.classes import NO_ROUNDS
from alseg.compare.report.distance import distance_chart, distance_curve
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.report.shown import looks, shown_points
from alseg.compare.statistics import Interval, pearson, spearman
from alseg.compare.tables import percent
from alseg.runs.analysis import RADIUS_BINS, SAMPLE, Sums, added

QUANTITIES = {"radius": "hyperbolic radius", "norm": "Euclidean norm"}


def geometry_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with correlations over the classes, spread and saturation."""
    told = _told(comparison, evidence)
    if not told:
        return section("geometry", "The geometry of the network", paragraph(NO_ROUNDS))
    charts, curves = [], []
    for part in told:
        for quantity, words in QUANTITIES.items():
            if f"class_{quantity}" not in part.sums:
                continue
            if "class_radius" in part.sums:
                charts.append(_classes_chart(part, quantity, evidence.classes))
            style = part.look._replace(dash="" if quantity == "radius" else "7 3")
            shares = spread(part.by_run, quantity)
            curves.append(distance_curve(f"{part.name}: {words}", shares, style))
    title = "Spread of radius and norm against distance from class boundaries"
    charts.append(distance_chart(title, curves, "standard deviation in % of the mean"))
    saturated = [["variant", "mean radius", "saturates at", "saturated pixels"]]
    histograms = []
    for part in told:
        sums, rim = part.sums, part.rim
        if "radius_counts" in sums and rim is not None:
            histograms.append(_histogram(part, rim))
            pixels = max(float(sums["pixels"][0]), 1.0)
            mean = float(sums["class_radius"].sum()) / pixels
            share = float(sums["at_rim"][0]) / pixels
            saturated.append([part.name, f"{mean:.2f}", f"{rim:.2f}", percent(share, 2)])
    parts = [
        paragraph(
            f"In up to {SAMPLE} images spread over the pool, before the last round, over all "
            "seeds. Of a hyperbolic head the norm is that of the vector that the exponential map "
            "is applied to: the radius is twice this norm until it saturates. Of a linear head it "
            "is that of the features."
        ),
    ]
    if histograms:
        charts.append(
            line_chart("Hyperbolic radii of all pixels", histograms, "radius", "pixels in %")
        )
    parts.append(f'<div class="charts">{"".join(charts)}</div>')
    parts.append(
        paragraph(
            "The spread is reckoned within each run and averaged over the seeds. Lines of norms "
            "are dashed."
        )
    )
    parts += [
        table("Correlations over the classes", _correlations(told)),
        paragraph(
            "Each class is one point: the mean of its pixels. Intervals are Fisher's at 95 %; they "
            "take the classes for independent, which they are only roughly."
        ),
    ]
    if histograms:
        parts += [
            table("Saturation at the rim of the ball", saturated),
            paragraph("Saturated is a radius above 99 % of the largest that can be told apart."),
        ]
    return section("geometry", "The geometry of the network", *parts)


def by_class(sums: Sums, quantity: str) -> NDArray[np.float64]:
    """Return the mean of a quantity over the pixels of each class; NaN for a class without any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means: NDArray[np.float64] = sums[f"class_{quantity}"] / sums["class_pixels"]
    return means


def spread(by_run: Sequence[Sums], quantity: str) -> NDArray[np.float64]:
    """Return by distance the standard deviation of a quantity as a share of its mean.

    Args:
        by_run: The sums of each run, whose spreads are averaged; NaN where no run has pixels.
        quantity: The quantity.
    """
    each = []
    for sums in by_run:
        if f"distance_{quantity}" not in sums:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums[f"distance_{quantity}"] / sums["distance_pixels"]
            square = sums[f"distance_{quantity}_squares"] / sums["distance_pixels"]
            each.append(np.sqrt(np.maximum(square - mean**2, 0)) / mean)
    means: NDArray[np.float64] = np.ma.masked_invalid(np.stack(each)).mean(axis=0).filled(np.nan)
    return means


class _Told(NamedTuple):
    """What the network of a variant was like before the last round, of all runs and of each."""

    name: str
    look: Look
    sums: Sums
    by_run: list[Sums]
    rim: float | None


def _told(comparison: Comparison, evidence: Evidence) -> list[_Told]:
    found, styles = [], looks(comparison)
    for name, point in shown_points(comparison).items():
        last = evidence.numbers(point)[-1:]
        by_run = [evidence.sums([run], last) for run in point.runs]
        by_run = [sums for sums in by_run if "class_norm" in sums]
        if by_run:
            sums = functools.reduce(added, by_run)
            found.append(_Told(name, styles[point.variant], sums, by_run, _rim(point, evidence)))
    return found


def _rim(point: Point, evidence: Evidence) -> float | None:
    rims = [part.rim for run in point.runs for part in evidence.rounds(run)]
    return rims[-1] if rims else None


def _correlations(told: list[_Told]) -> list[list[str]]:
    rows = [["variant", "of", "with", "classes", "Pearson", "Spearman"]]
    for name, _, sums, *_ in told:
        pixels = sums["class_pixels"]
        others = {
            "share of the pixels": pixels / max(pixels.sum(), 1.0),
            "accuracy": by_class(sums, "right"),
            "entropy": by_class(sums, "entropy"),
        }
        for quantity, words in QUANTITIES.items():
            if f"class_{quantity}" not in sums:
                continue
            values = by_class(sums, quantity)
            for other, held in others.items():
                count = int(np.count_nonzero(np.isfinite(values) & np.isfinite(held)))
                found = (pearson(values, held), spearman(values, held))
                rows.append([name, words, other, str(count), *map(_interval_text, found)])
    return rows


def _interval_text(found: Interval) -> str:
    if math.isnan(found.estimate):
        return "—"
    if math.isnan(found.low):
        return f"{found.estimate:+.2f}"
    return f"{found.estimate:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def _classes_chart(part: _Told, quantity: str, classes: tuple[str, ...]) -> str:
    pixels, words = part.sums["class_pixels"], QUANTITIES[quantity]
    share = 100 * pixels / max(pixels.sum(), 1.0)
    points = [
        (float(x), float(y), words_of)
        for x, y, words_of in zip(share, by_class(part.sums, quantity), classes, strict=True)
        if math.isfinite(y)
    ]
    title = f"{words} against class share: {part.name}"
    groups = [(part.name, part.look, points)]
    return scatter_chart(title, groups, "share of the pixels in %", words)


def _histogram(part: _Told, rim: float) -> Curve:
    counts = part.sums["radius_counts"]
    share = (100 * counts / max(counts.sum(), 1.0)).tolist()
    middles = [(place + 0.5) * rim / RADIUS_BINS for place in range(RADIUS_BINS)]
    return Curve(part.name, [Mark(x, y) for x, y in zip(middles, share, strict=True)], part.look)

"""What the hyperbolic radius goes with, and whether a Euclidean norm does the same."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from alseg.compare.analysis import RADIUS_BINS, Sums
from alseg.compare.comparison import Comparison, Point
from alseg.compare.evidence import Evidence
from alseg.compare.report.chart import Curve, Mark, line_chart, scatter_chart
from alseg.compare.report.classes import NO_ROUNDS
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.report.places import MIDDLES
from alseg.compare.statistics import Interval, pearson, spearman
from alseg.compare.tables import percent

QUANTITIES = {"radius": "hyperbolic radius", "norm": "Euclidean norm"}


def geometry_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with correlations over the classes, spread and saturation."""
    told = list(_told(comparison, evidence))
    if not told:
        return section("geometry", "The geometry of the network", paragraph(NO_ROUNDS))
    classes = evidence.classes(comparison)
    charts = []
    for name, sums, _ in told:
        for quantity, words in QUANTITIES.items():
            if f"class_{quantity}" in sums and (quantity == "radius" or "class_radius" in sums):
                charts.append(_classes_chart(name, words, by_class(sums, quantity), sums, classes))
    spread = [
        _spread_curve(f"{name}: {words}", sums, quantity)
        for name, sums, _ in told
        for quantity, words in QUANTITIES.items()
        if f"distance_{quantity}" in sums
    ]
    charts.append(
        line_chart(
            "Spread of radius and norm against distance from class boundaries",
            spread,
            "distance from the nearest class boundary in pixels",
            "standard deviation in % of the mean",
            logarithmic=True,
        )
    )
    saturated = [["variant", "mean radius", "saturates at", "saturated pixels"]]
    histograms = []
    for name, sums, rim in told:
        if "radius_counts" in sums and rim is not None:
            histograms.append(_histogram(name, sums, rim))
            mean = float(sums["class_radius"].sum() / sums["class_pixels"].sum())
            share = float(sums["at_rim"][0] / sums["pixels"][0])
            saturated.append([name, f"{mean:.2f}", f"{rim:.2f}", percent(share, 2)])
    parts = [
        paragraph(
            "In the images that were pictured, before the last round of every variant at its "
            "largest budget, over all seeds. The norm is that of the features that the head is "
            "given, of any kind of head: what the radius tells beyond it is owed to the geometry."
        ),
    ]
    if histograms:
        charts.append(
            line_chart("Hyperbolic radii of all pixels", histograms, "radius", "pixels in %")
        )
    parts.append(f'<div class="charts">{"".join(charts)}</div>')
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


def spread(sums: Sums, quantity: str) -> NDArray[np.float64]:
    """Return by distance the standard deviation of a quantity as a share of its mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums[f"distance_{quantity}"] / sums["distance_pixels"]
        square = sums[f"distance_{quantity}_squares"] / sums["distance_pixels"]
        relative: NDArray[np.float64] = np.sqrt(np.maximum(square - mean**2, 0)) / mean
    return relative


def _told(comparison: Comparison, evidence: Evidence) -> Iterator[tuple[str, Sums, float | None]]:
    """Yield name, sums of the last round and rim of every variant that tells them."""
    for variant in comparison.variants:
        point = [p for p in comparison.points if p.variant == variant][-1]
        numbers = evidence.numbers(point)
        sums = evidence.sums(point, numbers[-1:])
        if "class_norm" in sums:
            yield f"{variant}, {point.budget}", sums, _rim(point, evidence)


def _rim(point: Point, evidence: Evidence) -> float | None:
    rims = [part.rim for run in point.runs for part in evidence.rounds(run)]
    return rims[-1] if rims else None


def _correlations(told: list[tuple[str, Sums, float | None]]) -> list[list[str]]:
    rows = [["variant", "of", "with", "classes", "Pearson", "Spearman"]]
    for name, sums, _ in told:
        pixels = sums["class_pixels"]
        others = {
            "share of the pixels": pixels / pixels.sum(),
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


def _classes_chart(
    name: str, words: str, means: NDArray[np.float64], sums: Sums, classes: tuple[str, ...]
) -> str:
    share = 100 * sums["class_pixels"] / sums["class_pixels"].sum()
    points = [
        (float(x), float(y), words_of)
        for x, y, words_of in zip(share, means, classes, strict=True)
        if math.isfinite(y)
    ]
    title = f"{words} against class share: {name}"
    return scatter_chart(title, [(name, points)], "share of the pixels in %", words, True)


def _spread_curve(name: str, sums: Sums, quantity: str) -> Curve:
    values = 100 * spread(sums, quantity)
    return Curve(name, [Mark(x, y) for x, y in zip(MIDDLES, values.tolist(), strict=True)])


def _histogram(name: str, sums: Sums, rim: float) -> Curve:
    share = 100 * sums["radius_counts"] / max(sums["radius_counts"].sum(), 1.0)
    middles = [(place + 0.5) * rim / RADIUS_BINS for place in range(RADIUS_BINS)]
    return Curve(name, [Mark(x, y) for x, y in zip(middles, share.tolist(), strict=True)])

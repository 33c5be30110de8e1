"""What of each variant is shown, and how it looks: the same in all sections."""

from __future__ import annotations

from alseg.compare.comparison import Comparison, Point
from alseg.compare.report.chart import BLACK, GREY, Look, look


def shown_points(comparison: Comparison) -> dict[str, Point]:
    """Return by name the runs of every variant to show beside those of others.

    They are those at the largest budget that all variants have, or else that most of them have. A
    variant without it is shown at its nearest, and its name says so.
    """
    budgets, variants = comparison.budgets, comparison.variants
    if not budgets:
        return {}

    def count(budget: str) -> tuple[int, int]:
        having = sum(comparison.point(variant, budget) is not None for variant in variants)
        return having, budgets.index(budget)

    common = max(budgets, key=count)
    shares = [point.share for point in comparison.points if point.budget == common]
    share = sum(shares) / len(shares)
    shown = {}
    for variant in variants:
        points = [point for point in comparison.points if point.variant == variant]
        point = min(points, key=lambda p: (p.budget != common, abs(p.share - share)))
        note = "" if point.budget == common else f" (the nearest to {common})"
        shown[f"{variant}, {point.budget}{note}"] = point
    return shown


def looks(comparison: Comparison) -> dict[str, Look]:
    """Return by name how the curves of variants and bounds look."""
    found = {variant: look(place) for place, variant in enumerate(comparison.variants)}
    for protocol, point in comparison.bounds.items():
        found[point.variant] = BLACK if protocol == "fully_supervised" else GREY
    return found

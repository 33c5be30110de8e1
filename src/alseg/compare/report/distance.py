"""Charts over the distance from the nearest class boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alseg.compare.report.chart import Curve, Look, Mark, line_chart

MIDDLES = (1.0, 2.1, 4.2, 8.5, 17.0, 34.0, 68.0)
"""Where the ranges of distances are drawn: their geometric middles, the open ones nearby."""


def distance_curve(name: str, shares: NDArray[np.float64], look: Look) -> Curve:
    """Return a curve in per cent of a share for each range of distances; NaN is not drawn."""
    heights = (100 * shares).tolist()
    return Curve(name, [Mark(x, y) for x, y in zip(MIDDLES, heights, strict=True)], look)


def distance_chart(title: str, curves: Sequence[Curve], y_label: str) -> str:
    """Return a chart of curves over distance."""
    x_label = "distance from the nearest class boundary in pixels"
    return line_chart(title, curves, x_label, y_label, logarithmic=True)

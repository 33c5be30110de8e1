"""How the options of a strategy follow from those of a run; imports no torch by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alseg_strategies import options


def window_radius(radius: int | None, annotator: str | None) -> int:
    """Return the window radius of a region: people see little in a window of 3x3 pixels.

    Args:
        radius: What the run's settings say; None leaves it open.
        annotator: Who answers.
    """
    if radius is not None:
        return radius
    return 3 if annotator == "manual" else 1


def options_for(name: str, given: Mapping[str, Any], radius: int) -> dict[str, Any]:
    """Return the options of a strategy in a run that labels windows of a radius.

    The windows that a strategy looks at are those that are labelled, unless its options say
    otherwise. A single labelled pixel is judged by its 3×3 window: one pixel alone has neither an
    impurity nor a variance.
    """
    chosen = dict(given)
    if "radius" in options(name):
        chosen.setdefault("radius", max(1, radius))
    return chosen

"""What figures, pictures and tables of a run are called on Weights & Biases.

What logs and what draws take them from here, so that no panel stays empty; the phases are those
of a run's summary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alseg.runs.run_summary import AFTER, IOU, MIOU, SECONDS, RunSummary

PROJECT = "alseg"
"""The project of runs that name none."""

VARIANT = "variant"
"""In a run's config: what it shares with runs that differ from it by their seed alone."""

FRACTION = "labelled_fraction"
"""The share of the pool's pixels that were asked for: the axis of the curves."""

PICTURES = {
    "labels": "pictures/labels",
    "scores": "pictures/scores",
    "picks": "pictures/picks",
}
"""The galleries of a round: images with what was answered as masks, scores and picks."""

PICKS = "picks"
"""The table of a round's picks."""

CLASS_AFTER = f"{AFTER}/{IOU}"
"""What the IoU of a class after training begins with; its name follows."""


def stage_names(stage: str, classes: Sequence[str]) -> list[str]:
    """Return the names of the figures of a stage, ``val`` or ``test``."""
    return [f"{stage}/{MIOU}", f"{stage}/accuracy", *(f"{stage}/{IOU}{name}" for name in classes)]


def seconds_name(phase: str) -> str:
    """Return what the seconds of a phase are called."""
    return f"{SECONDS}/{phase.replace(' ', '_')}"


def summary_figures(known: RunSummary) -> dict[str, Any]:
    """Return the figures of a run's summary by their names on Weights & Biases.

    What is unknown is left out: the IoU of a class that never occurs, a shortfall that is none.
    """
    return {name: value for name, value in _figures(known) if value not in (None, "")}


def _figures(known: RunSummary) -> Iterator[tuple[str, Any]]:
    for part, name, value in known.figures():
        yield f"{part}/{name}", value
    for phase, seconds in known.seconds.items():
        yield seconds_name(phase), seconds

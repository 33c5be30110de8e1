"""What figures, pictures and tables of a run are called on Weights & Biases.

What logs and what draws take them from here, so that no panel stays empty; the phases are those
of a run's summary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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

PHASES = ("source start", "training", "asking for labels", "analysis", "evaluation")
"""The phases of a run that seconds are counted for."""

CLASS_AFTER = "after/IoU/"
"""What the IoU of a class after training begins with; its name follows."""


def stage_names(stage: str, classes: Sequence[str]) -> list[str]:
    """Return the names of the figures of a stage, ``val`` or ``test``."""
    return [f"{stage}/mIoU", f"{stage}/accuracy", *(f"{stage}/IoU/{name}" for name in classes)]


def seconds_name(phase: str) -> str:
    """Return what the seconds of a phase are called."""
    return f"seconds/{phase.replace(' ', '_')}"


def summary_figures(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a run's ``summary.json`` by their names on Weights & Biases.

    What is unknown is left out: the IoU of a class that never occurs, a shortfall that is none.
    """
    return {name: value for name, value in _figures(known) if value not in (None, "")}


def _figures(known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("before", "after", "best", "labels"):
        for name, value in known.get(part, {}).items():
            yield f"{part}/{name}", value
    for phase, seconds in known.get("seconds", {}).items():
        yield seconds_name(phase), seconds

"""What figures, pictures and tables of a run are called on Weights & Biases.

What logs and what draws take them from here, so that no panel stays empty; the phases are those
of a run's summary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alseg.config.budget import Budget
from alseg.config.settings import all_settings, names_of
from alseg.config.strategy_options import options_for, window_radius
from alseg_strategies import options

PROJECT = "alseg"
"""The project of runs that name none."""

METHOD = "method"
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

TOLD = {"strategy", "strategy_options", "budget", "head"}
"""The settings of a method that its name has a place of their own for."""

CLASS_AFTER = "after/IoU/"
"""What the IoU of a class after training begins with; its name follows."""


def method_of(settings: Mapping[str, Any], active: bool) -> str:
    """Return what a run is compared as, such as ``ripu (impurity=False, radius=4) at 0.01``.

    Settings of what is asked, of the head and of the losses are told where they are not the usual.

    Args:
        settings: The settings of the run.
        active: Whether labels are asked for under its protocol.
    """
    protocol, head = settings["protocol"], settings["head"]
    details = [] if head in (None, "linear") else [str(head)]
    if active:
        details += [] if protocol == "source_target" else [protocol]
        details += [f"{name}={value}" for name, value in _options(settings)]
    own = names_of("active", "variant") if active else names_of("variant")
    usual = {
        setting.name: setting.default
        for setting in all_settings()
        if setting.name in own and setting.name not in TOLD
    }
    # To say the radius that follows from who answers is to leave it open.
    left_open = window_radius(None, settings["annotator"])
    given = {**settings, "radius": None} if settings["radius"] == left_open else settings
    details += [
        f"{name}={given[name]}"
        for name, default in usual.items()
        if given.get(name, default) != default
    ]
    told = f" ({', '.join(details)})" if details else ""
    if not active:
        return f"{protocol}{told}"
    return f"{settings['strategy']}{told} at {Budget.parse(settings['budget']).plain}"


def _options(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the options of a run's strategy that are not the usual ones of its settings."""
    strategy = settings["strategy"]
    radius = window_radius(settings["radius"], settings["annotator"])
    usual = {**options(strategy), **options_for(strategy, {}, radius)}
    for name, value in settings["strategy_options"].items():
        if value != usual.get(name):
            yield name, value


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

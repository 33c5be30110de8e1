"""What the runs cost: machines and people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from alseg.compare.comparison import Comparison, Point
from alseg.compare.report.markup import paragraph, section, table
from alseg.compare.runs import Run
from alseg.compare.statistics import mean_of_known
from alseg.config.labelling_cost import ORACLE_CLICKS


def costs_section(comparison: Comparison, click_seconds: float) -> str:
    """Return the section with seconds, memory, clicks and hours of people."""
    groups = comparison.groups
    parts = [
        table("Seconds of the machine, means over the seeds", _by_phase(groups, _seconds, True)),
        paragraph(
            "A phase is the mean of the runs that had it, so the phases need not add up. A start "
            "that a run took over with init_from was paid for by another run, and is not in its "
            "seconds."
        ),
    ]
    kinds = {kind for run in comparison.runs for kind in run.summary.peaks}
    for kind in sorted(kinds):
        caption = f"Peak memory of the {kind} in MiB, means over the seeds"
        parts.append(table(caption, _by_phase(groups, _peaks_of(kind), False)))
    if kinds:
        parts.append(
            paragraph(
                "Of the first process, without those that load images. A peak of the process is "
                "the largest since it began, so never less than in a phase before."
            )
        )
    labelling = [["variant", "budget", "clicks", "hours", "points of mIoU gained per hour"]]
    for point in comparison.points:
        hours = mean_of_known(_hours(run, click_seconds) for run in point.runs)
        gains = [run.miou - run.start for run in point.runs if run.start is not None]
        gain = 100 * mean_of_known(gains) / hours if hours > 0 else math.nan
        cells = [_number(point.clicks, 0), _number(hours, 2), _number(gain, 2)]
        labelling.append([point.variant, point.budget, *cells])
    if len(labelling) > 1:
        parts += [
            table("Clicks and hours of labelling, means over the seeds", labelling),
            paragraph(
                "Hours are the clicks at the mean time of those that people were timed at, and at "
                f"{click_seconds:g} seconds each where nobody was. {_oracle(comparison)}"
                "The gain is over the start of the same run; some of it may come from "
                "training on, without any label."
            ),
        ]
    return section("costs", "What it cost", *parts)


def _by_phase(
    groups: Iterable[Point], figures: Callable[[Run], dict[str, float]], summed: bool
) -> list[list[str]]:
    groups = list(groups)
    runs = [run for point in groups for run in point.runs]
    phases = list(dict.fromkeys(name for run in runs for name in figures(run)))
    rows = [["variant", "budget", *phases, *(["together"] if summed else [])]]
    for point in groups:
        means = [mean_of_known(figures(run).get(phase) for run in point.runs) for phase in phases]
        together = [mean_of_known(_together(figures(run)) for run in point.runs)] if summed else []
        cells = [_number(value, 0) for value in (*means, *together)]
        rows.append([point.variant, point.budget or "—", *cells])
    return rows


def _together(figures: dict[str, float]) -> float | None:
    return sum(figures.values()) if figures else None


def _seconds(run: Run) -> dict[str, float]:
    return run.summary.seconds


def _peaks_of(kind: str) -> Callable[[Run], dict[str, float]]:
    return lambda run: run.summary.peaks.get(kind, {})


def _hours(run: Run, click_seconds: float) -> float | None:
    labels = run.summary.labels
    if labels is None or run.clicks is None:
        return None
    return run.clicks * labels.seconds_per_click(click_seconds) / 3600


def _oracle(comparison: Comparison) -> str:
    return f"{ORACLE_CLICKS} " if comparison.asks_an_oracle else ""


def _number(value: float, digits: int) -> str:
    return "—" if math.isnan(value) else f"{value:,.{digits}f}"

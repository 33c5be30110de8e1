"""Runs in their places: by variant and budget, with what is held against what."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from alseg.active import Budget
from alseg.compare.runs import BOUNDS, CHANGE_NO_FIGURE, Run
from alseg.compare.statistics import Interval, area_under, bootstrap_mean, mean_and_deviation
from alseg.errors import CompareError, did_you_mean

UNDISTINGUISHED = "not distinguishable"


@dataclass(frozen=True)
class Point:
    """The runs of one variant at one budget, one a seed.

    Attributes:
        variant: What the runs have in common besides the budget, such as the strategy.
        budget: The budget, in words.
        runs: The runs, in the order of their seeds.
    """

    variant: str
    budget: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(run.seed for run in self.runs)

    @property
    def miou(self) -> tuple[float, float]:
        """Mean and standard deviation of mIoU over the seeds."""
        return mean_and_deviation([run.miou for run in self.runs])

    @property
    def share(self) -> float:
        """Mean labelled share of the pool; 0 where none was asked for."""
        return _mean(run.share for run in self.runs)

    @property
    def clicks(self) -> float:
        """Mean number of answers; NaN where it is not known."""
        return _mean(run.clicks for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """What there is to compare.

    Attributes:
        points: By variant and budget: variants in the order of their names, the baseline first;
            budgets by the share that was labelled.
        bounds: By protocol, the runs that asked for no labels.
        left_out: Runs that are not compared; their ``problem`` says why.
        baseline: The variant that others are held against; None where there is no such run.
    """

    points: tuple[Point, ...]
    bounds: dict[str, Point]
    left_out: tuple[Run, ...]
    baseline: str | None

    @property
    def variants(self) -> list[str]:
        """The names of the variants, in order."""
        return list(dict.fromkeys(point.variant for point in self.points))

    @cached_property
    def budgets(self) -> list[str]:
        """The budgets, by the share that was labelled under them."""
        shares: dict[str, list[float]] = {}
        for point in self.points:
            shares.setdefault(point.budget, []).append(point.share)
        return sorted(shares, key=lambda budget: sum(shares[budget]) / len(shares[budget]))

    def point(self, variant: str, budget: str) -> Point | None:
        """Return the runs of a variant at a budget; None if there are none."""
        places = {(point.variant, point.budget): point for point in self.points}
        return places.get((variant, budget))

    @property
    def runs(self) -> list[Run]:
        """All runs that are compared, the bounds among them."""
        groups = [*self.bounds.values(), *self.points]
        return [run for point in groups for run in point.runs]

    @property
    def upper(self) -> float:
        """Mean mIoU of full supervision; NaN where there is no such run."""
        bound = self.bounds.get("fully_supervised")
        return math.nan if bound is None else bound.miou[0]

    def areas(self, variant: str) -> dict[int, float]:
        """Return by seed the area under mIoU against labelled share, divided by its width.

        It spans the budgets of the baseline, or all budgets where there is none, so that areas are
        of the same range; a variant or a seed that lacks one of them has none.
        """
        spanned = [b for b in self.budgets if self.baseline is None or self.point(self.baseline, b)]
        points = [point for b in spanned if (point := self.point(variant, b)) is not None]
        if len(points) < len(spanned):
            return {}
        if len(points) < 2:
            return {}
        everywhere = set.intersection(*(set(point.seeds) for point in points))
        areas = {}
        for seed in sorted(everywhere):
            curve = [run for point in points for run in point.runs if run.seed == seed]
            areas[seed] = area_under([run.share or 0 for run in curve], [r.miou for r in curve])
        return areas

    def difference(self, variant: str, budget: str, other: str | None = None) -> Interval | None:
        """Return how much more mIoU a variant has than another, paired by seed.

        The other is the baseline unless it is named. None for a variant and itself, and where no
        seed was run for both.
        """
        other = other or self.baseline or ""
        ours, theirs = self.point(variant, budget), self.point(other, budget)
        if ours is None or theirs is None or variant == other:
            return None
        mine, base = ({run.seed: run.miou for run in p.runs} for p in (ours, theirs))
        return _paired(mine, base)

    def area_difference(self, variant: str) -> Interval | None:
        """Return how much more area a variant has than the baseline, paired by seed."""
        if self.baseline is None or variant == self.baseline:
            return None
        return _paired(self.areas(variant), self.areas(self.baseline))


def compare_runs(runs: Sequence[Run], baseline: str = "random") -> Comparison:
    """Put runs into their places.

    Args:
        runs: The runs.
        baseline: The variant that the others are held against.

    Raises:
        CompareError: No run has figures, or the baseline was named and is not among the variants.
    """
    left_out = [run for run in runs if run.problem]
    usable, twice = _once([run for run in runs if not run.problem])
    if not usable:
        reasons = "\n".join(f"  {run.folder}: {run.problem}" for run in left_out[:5])
        raise CompareError(f"None of the {len(left_out)} runs has figures to compare:\n{reasons}")
    active = [run for run in usable if not run.is_bound]
    names = _variant_names(active)
    places: dict[tuple[str, str], list[Run]] = {}
    for run in active:
        places.setdefault((names[_variant(run)], budget_text(run.budget)), []).append(run)
    variants = {variant for variant, _ in places}
    if baseline not in variants and baseline != "random":
        hint = did_you_mean(baseline, variants)
        raise CompareError(
            f"No run has the variant {baseline!r}.{hint} There are {', '.join(sorted(variants))}."
        )
    points = [
        Point(variant, budget, tuple(sorted(group, key=lambda run: run.seed)))
        for (variant, budget), group in places.items()
    ]
    points.sort(key=lambda p: (p.variant != baseline, p.variant, p.share))
    bounds = {}
    for protocol, words in BOUNDS.items():
        group = sorted((r for r in usable if r.protocol == protocol), key=lambda run: run.seed)
        if group:
            bounds[protocol] = Point(words, "", tuple(group))
    known = baseline if baseline in variants else None
    return Comparison(tuple(points), bounds, (*left_out, *twice), known)


def verdict(difference: Interval) -> str:
    """Return what a difference to the baseline says, in words."""
    if math.isnan(difference.low):
        return f"{UNDISTINGUISHED} (one seed)"
    if not difference.excludes_zero:
        return UNDISTINGUISHED
    return "better" if difference.estimate > 0 else "worse"


def budget_text(budget: Budget) -> str:
    """Return a budget as it stands in a table."""
    if budget.share is not None:
        return f"{100 * budget.share:g} %"
    if budget.clicks is not None:
        return f"{budget.clicks:,} clicks"
    return f"{budget.regions_per_image:,} regions per image"


def _once(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Return runs that differ in variant, budget or seed, and those that repeat one of them."""
    first: dict[Any, Run] = {}
    again = []
    for run in runs:
        place = (_variant(run), None if run.is_bound else run.budget, run.seed)
        if place in first:
            reason = f"It repeats {first[place].folder}: the same variant, budget and seed."
            again.append(replace(run, problem=reason))
        else:
            first[place] = run
    return list(first.values()), again


NOT_OF_A_VARIANT = CHANGE_NO_FIGURE | {
    *("protocol", "strategy", "strategy_options", "budget", "seed", "init_from"),
}
"""Settings that are told apart otherwise, or in which the runs of a variant differ."""

Variant = tuple[str, str, frozenset[tuple[str, str]]]
"""Protocol, strategy, and by name all options and settings that may change a figure."""


def _variant(run: Run) -> Variant:
    """Return what makes runs the same but for budget and seed."""
    if run.is_bound:
        return run.protocol, "", frozenset()
    settings = {k: v for k, v in run.settings.items() if k not in NOT_OF_A_VARIANT}
    options = run.settings.get("strategy_options") or {}
    told = {(str(k), str(v)) for k, v in (settings | options).items() if v is not None}
    return run.protocol, str(run.settings["strategy"]), frozenset(told)


def _variant_names(runs: Iterable[Run]) -> dict[Variant, str]:
    """Name variants by their strategy, and by what else tells them apart.

    Of settings in which variants of a strategy differ, those are named that most variants in the
    comparison have not.
    """
    variants = {_variant(run) for run in runs}
    counts = Counter(detail for *_, told in variants for detail in told)
    protocols = {protocol for protocol, *_ in variants}
    names = {}
    for protocol, strategy, told in variants:
        others = [other for _, name, other in variants if name == strategy]
        shared = frozenset.intersection(*others)
        details = [
            f"{name}={value}"
            for name, value in sorted(told - shared)
            if 2 * counts[name, value] <= len(variants)
        ]
        if len(protocols) > 1:
            details.insert(0, protocol)
        name = f"{strategy} ({', '.join(details)})" if details else strategy
        names[protocol, strategy, told] = name
    return names


def _paired(ours: dict[int, float], theirs: dict[int, float]) -> Interval | None:
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    return bootstrap_mean([ours[seed] - theirs[seed] for seed in shared])


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan

"""Runs in their places: by variant and budget, with what is held against what."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from alseg.compare.runs import BOUNDS, Run
from alseg.compare.statistics import (
    Interval,
    bootstrap_mean,
    mean_and_deviation,
    mean_height,
    mean_of_known,
)
from alseg.compare.variants import variant_names
from alseg.config.settings import names_of
from alseg.config.variants import Variant, variant_of
from alseg.errors import CompareError, did_you_mean

LEFT_OUT = "Left out"
"""Stands above the runs that are not compared."""

UNDISTINGUISHED = "not distinguishable"

USUAL = "random"
"""The strategy that the others are held against unless another is named."""


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
        """Mean labelled share of the pool; NaN where none was asked for."""
        return mean_of_known(run.share for run in self.runs)

    @property
    def clicks(self) -> float:
        """Mean number of answers; NaN where it is not known."""
        return mean_of_known(run.clicks for run in self.runs)


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

    @cached_property
    def area_budgets(self) -> list[str]:
        """The budgets that all variants with a curve have.

        A variant has a curve that has two budgets of the baseline, or two at all where there is
        none.
        """
        there = {
            variant: [budget for budget in self.budgets if self.point(variant, budget)]
            for variant in self.variants
        }
        usual = there.get(self.baseline or "", self.budgets)
        curves = [own for own in there.values() if len(set(own) & set(usual)) > 1]
        return [budget for budget in usual if curves and all(budget in own for own in curves)]

    def point(self, variant: str, budget: str) -> Point | None:
        """Return the runs of a variant at a budget; None if there are none."""
        places = {(point.variant, point.budget): point for point in self.points}
        return places.get((variant, budget))

    @property
    def groups(self) -> list[Point]:
        """The bounds, then the points."""
        return [*self.bounds.values(), *self.points]

    @property
    def runs(self) -> list[Run]:
        """All runs that are compared, the bounds among them."""
        return [run for point in self.groups for run in point.runs]

    @property
    def problems(self) -> list[str]:
        """Why runs are left out, a sentence for each."""
        return [f"`{run.folder}`: {run.problem}" for run in self.left_out]

    @property
    def title(self) -> str:
        """What a report of it is called."""
        count = len(self.runs)
        return f"{count} run{'' if count == 1 else 's'} compared"

    @property
    def domains(self) -> str:
        """The names of source and target; what the runs were given where these are not known."""
        return "; ".join(
            f"{source} → {target}"
            for source, target in sorted(
                {(self._called(run, "source"), self._called(run, "target")) for run in self.runs}
            )
        )

    def _called(self, run: Run, domain: str) -> str:
        """Return the name of a run's domain, and what it was given if two are called the same."""
        given = str(run.settings.get(domain))
        names = {
            (name, str(other.settings.get(domain)))
            for other in self.runs
            if (name := other.data_name(domain)) is not None
        }
        alike = {name for name, spec in names if spec == given}
        name = run.data_name(domain) or (alike.pop() if len(alike) == 1 else given)
        return name if len([one for one, _ in names if one == name]) < 2 else f"{name} ({given})"

    @property
    def asks_an_oracle(self) -> bool:
        """Whether labels of some runs were looked up rather than given by people."""
        return any(
            run.settings.get("annotator", "oracle") == "oracle"
            for point in self.points
            for run in point.runs
        )

    def of_upper(self, point: Point) -> tuple[float, float]:
        """Return the mean and deviation of `shares_of_upper`; NaN where it has none."""
        return mean_and_deviation(self.shares_of_upper(point))

    def shares_of_upper(self, point: Point) -> list[float]:
        """Return mIoU as a share of full supervision with the same seed.

        It leaves out seeds that were not run for both, or with which the latter reached nothing.
        """
        bound = self.bounds.get("fully_supervised")
        most = {} if bound is None else {run.seed: run.miou for run in bound.runs}
        return [run.miou / most[run.seed] for run in point.runs if most.get(run.seed)]

    def areas(self, variant: str) -> dict[int, float]:
        """Return by seed the area under mIoU against labelled share, divided by its width.

        It spans `area_shares`; a variant or a seed that lacks one of `area_budgets` has none.
        """
        low, high = self.area_shares
        if not low < high:
            return {}
        areas = {}
        for seed, curve in self._curves(variant).items():
            shares, reached = zip(*curve, strict=True)
            areas[seed] = mean_height(shares, reached, low, high)
        return areas

    @cached_property
    def area_shares(self) -> tuple[float, float]:
        """The first and the last labelled share that all curves cover.

        What is labelled under a budget may differ, with regions of another size or where a pool
        has no more to ask for. The first is not below the last where the curves have no range in
        common.
        """
        curves = [curve for name in self.variants for curve in self._curves(name).values()]
        first = max((min(curve)[0] for curve in curves), default=math.inf)
        return first, min((max(curve)[0] for curve in curves), default=-math.inf)

    def _curves(self, variant: str) -> dict[int, list[tuple[float, float]]]:
        """Return by seed the labelled share and mIoU at each of `area_budgets`."""
        points = [p for b in self.area_budgets if (p := self.point(variant, b)) is not None]
        curves: dict[int, list[tuple[float, float]]] = {}
        for run in (run for point in points for run in point.runs):
            if run.share is not None:
                curves.setdefault(run.seed, []).append((run.share, run.miou))
        whole = max(2, len(self.area_budgets))
        return {seed: sorted(curves[seed]) for seed in sorted(curves) if len(curves[seed]) == whole}

    def difference(self, variant: str, budget: str, other: str | None = None) -> Interval | None:
        """Return how much more mIoU a variant has than another, paired by seed.

        The other is the baseline unless it is named; each may also be a bound, which has no
        budget. None for a variant and itself, and where no seed was run for both.
        """
        other = other or self.baseline or ""
        places = {bound.variant: bound for bound in self.bounds.values()}
        ours, theirs = (places.get(name) or self.point(name, budget) for name in (variant, other))
        if ours is None or theirs is None or variant == other:
            return None
        mine, base = ({run.seed: run.miou for run in p.runs} for p in (ours, theirs))
        return _paired(mine, base)

    def area_difference(self, variant: str) -> Interval | None:
        """Return how much more area a variant has than the baseline, paired by seed."""
        if self.baseline is None or variant == self.baseline:
            return None
        return _paired(self.areas(variant), self.areas(self.baseline))


def compare_runs(runs: Sequence[Run], baseline: str | None = None) -> Comparison:
    """Put runs into their places.

    Args:
        runs: The runs.
        baseline: What the others are held against: a variant, a strategy that has but one, or a
            protocol that asks for no labels. None takes the variant of ``random`` with the most
            runs, if there is one.

    Raises:
        CompareError: No run has figures, they are of other targets or classes, or the baseline was
            named and is not there.
    """
    usable = [run for run in runs if not run.problem]
    left_out = [run for run in runs if run.problem]
    if not usable:
        reasons = "\n".join(f"  {run.folder}: {run.problem}" for run in left_out[:5])
        raise CompareError(f"None of the {len(left_out)} runs has figures to compare:\n{reasons}")
    _check_one_task(usable)
    names = variant_names(variant_of(run.settings) for run in usable if not run.is_bound)
    places: dict[tuple[str, str], list[Run]] = {}
    for run in usable:
        if not run.is_bound:
            place = names[variant_of(run.settings)], run.budget.short
            left_out += _placed(run, places.setdefault(place, []))
    points = [Point(*place, tuple(group)) for place, group in places.items()]
    bounds = {}
    for protocol, words in BOUNDS.items():
        group, others = _most_alike([run for run in usable if run.protocol == protocol])
        left_out += others
        if group:
            bounds[protocol] = Point(words, "", tuple(group))
    known = _baseline(baseline, points, bounds)
    points.sort(key=lambda p: (p.variant != known, p.variant, p.share))
    return Comparison(tuple(points), bounds, tuple(left_out), known)


def _check_one_task(runs: Sequence[Run]) -> None:
    """Check that runs have been measured on the same kind of images, in the same classes.

    Raises:
        CompareError: They have not: their mIoU says nothing of one another.
    """
    targets: dict[str, Run] = {}
    classes: dict[str, Run] = {}
    for run in runs:
        targets.setdefault(str(run.settings.get("target")).partition(":")[0], run)
        classes.setdefault(", ".join(run.iou), run)
    for what, first in (("targets", targets), ("classes", classes)):
        if len(first) > 1:
            told = "; ".join(f"{value} in {run.folder}" for value, run in first.items())
            raise CompareError(
                f"These runs are of other {what}: {told}. An mIoU of one says nothing of the "
                "others: make a report of each."
            )


def _placed(run: Run, group: list[Run]) -> list[Run]:
    """Put a run among those of other seeds; return it with the reason if its seed is there."""
    for other in group:
        if other.seed == run.seed:
            differing = [
                name
                for name in sorted(names_of("domain"))
                if run.settings.get(name) != other.settings.get(name)
            ]
            reason = f"It repeats {other.folder}: the same variant, budget and seed."
            if differing:
                reason = (
                    f"It has the variant, budget and seed of {other.folder}, with another "
                    f"{' and '.join(differing)}: make a report of each."
                )
            return [replace(run, problem=reason)]
    group.append(run)
    group.sort(key=lambda run: run.seed)
    return []


def _most_alike(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Return the largest group of runs that differ in seed alone, and the others with a reason."""
    groups: dict[Variant, list[Run]] = {}
    left_out: list[Run] = []
    for run in runs:
        left_out += _placed(run, groups.setdefault(variant_of(run.settings), []))
    if not groups:
        return [], []
    chosen, group = max(groups.items(), key=lambda entry: len(entry[1]))
    for variant, others in groups.items():
        if variant != chosen:
            differing = dict(sorted(variant.details - chosen.details))
            told = ", ".join(f"{name}={value}" for name, value in differing.items())
            reason = (
                f"The line of {BOUNDS[variant.protocol]} is drawn from {group[0].folder} and those "
                f"like it; this run has other settings ({told or 'of those left empty'})."
            )
            left_out += [replace(run, problem=reason) for run in others]
    return group, left_out


def _baseline(wanted: str | None, points: Sequence[Point], bounds: dict[str, Point]) -> str | None:
    """Return the name of what others are held against; None where the usual one is not there.

    Raises:
        CompareError: It was named, and is not there.
    """
    variants = {point.variant: point.runs[0].settings["strategy"] for point in points}
    if wanted is None:
        runs = Counter(p.variant for p in points for _ in p.runs if variants[p.variant] == USUAL)
        return max(sorted(runs), key=runs.__getitem__, default=None)
    if wanted in variants:
        return wanted
    for protocol, bound in bounds.items():
        if wanted in (protocol, bound.variant):
            return bound.variant
    alike = [variant for variant, strategy in variants.items() if strategy == wanted]
    if len(alike) == 1:
        return alike[0]
    known = [*sorted(variants), *(bound.variant for bound in bounds.values())]
    hint = did_you_mean(wanted, known)
    listed = ", ".join(map(repr, alike or known))
    raise CompareError(
        f"{'Several variants have' if alike else 'No run has'} the strategy {wanted!r}.{hint} "
        f"Name with --baseline one of {listed}."
    )


def verdict(difference: Interval) -> str:
    """Return what a difference to the baseline says, in words."""
    if math.isnan(difference.low):
        return f"{UNDISTINGUISHED} (too few seeds)"
    if not difference.excludes_zero:
        return UNDISTINGUISHED
    return "better" if difference.estimate > 0 else "worse"


def _paired(ours: dict[int, float], theirs: dict[int, float]) -> Interval | None:
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    return bootstrap_mean([ours[seed] - theirs[seed] for seed in shared])

"""What makes runs hard to compare: everything that differs and was not meant to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from alseg.compare.comparison import Comparison, Point
from alseg.compare.runs import MEANT_TO_DIFFER, OF_ASKING, Run
from alseg.config.settings import MATRIX_MAY_DIFFER, names_of
from alseg.runs.run_provenance import CHANGED, MAY_CHANGE_FIGURES

SAME_START = 1e-6
"""Figures of one and the same network differ by less, on whatever machine it was measured."""

LONGEST = 60

THEN = ", then "
"""Stands between what a run began with and what it went on with."""

DIFFER = "The variants differ, beside the strategy, in"
"""Stands above the choices."""

NOT_COMPARABLE = "Not all runs are comparable"
"""Stands above the warnings."""


def warnings_of(comparison: Comparison) -> list[str]:
    """Return what differs between the runs that should be alike, one sentence each."""
    return [
        *(text for name, text in _settings(comparison) if name not in MATRIX_MAY_DIFFER),
        *_starts(comparison),
        *_provenance(comparison),
        *_seeds(comparison),
    ]


def choices_of(comparison: Comparison) -> list[str]:
    """Return in what else the variants differ that a comparison may be about, such as the head."""
    return [text for name, text in _settings(comparison) if name in MATRIX_MAY_DIFFER]


def _settings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield each setting that differs, with a sentence."""
    names = dict.fromkeys(name for run in comparison.runs for name in run.settings)
    for name in names:
        if name in MEANT_TO_DIFFER:
            continue

        def value_of(run: Run, name: str = name) -> Any:
            return run.radius if name == "radius" else run.settings.get(name)

        values = _by_value(comparison, value_of, asking_only=name in OF_ASKING)
        if len(values) > 1:
            yield name, _sentence(f"another {name}", values)


def _starts(comparison: Comparison) -> list[str]:
    """Compare what the networks reached before training: the same start gives the same figure."""
    figures: dict[tuple[int, bool, tuple[str, ...]], dict[str, float]] = {}
    for point in comparison.groups:
        for run in point.runs:
            if run.start is not None:
                network = tuple(str(run.settings.get(name)) for name in names_of("head"))
                place = run.seed, run.uses_source, network
                name = f"{point.variant} {point.budget}".strip()
                figures.setdefault(place, {})[name] = run.start
    found = []
    for (seed, *_), starts in sorted(figures.items()):
        if max(starts.values()) - min(starts.values()) > SAME_START:
            told = ", ".join(f"{name} {100 * start:.1f}" for name, start in starts.items())
            found.append(f"another start with seed {seed}: mIoU before training was {told}")
    return found


def _provenance(comparison: Comparison) -> list[str]:
    flat = {run.folder: made_with(run) for run in comparison.runs}
    names = dict.fromkeys(
        name for told in flat.values() for name in told if name.startswith(MAY_CHANGE_FIGURES)
    )
    found = []
    for name in names:

        def value_of(run: Run, name: str = name) -> Any:
            return flat[run.folder].get(name)

        values = _by_value(comparison, value_of)
        values.pop("None", None)  # What a run did not write down is not known to be another.
        if len(values) > 1 or any(THEN in value for value in values):
            found.append(_sentence(f"another {name}", values))
    unknown = [f"`{run.folder}`" for run in comparison.runs if not flat[run.folder]]
    if 0 < len(unknown) < len(comparison.runs):
        found.append(f"not known what they were made with: {', '.join(unknown)}")
    changed = _by_value(comparison, lambda run: "True" in flat[run.folder].get(CHANGED, ""))
    if "True" in changed:
        found.append(f"uncommitted changes in the checkout: in {', '.join(changed['True'])}")
    return found


def _seeds(comparison: Comparison) -> list[str]:
    points = comparison.groups
    counts = {point.seeds for point in points}
    if len(counts) < 2:
        return []
    listed = {
        ", ".join(map(str, seeds)): [
            f"{point.variant} at {point.budget}" if point.budget else point.variant
            for point in points
            if point.seeds == seeds
        ]
        for seeds in sorted(counts)
    }
    return [_sentence("other seeds", listed)]


def made_with(run: Run) -> dict[str, str]:
    """Return what a run was made with, by dotted names.

    A run that was stopped and went on with something else has all that it was made with.
    """
    values: dict[str, list[str]] = {}
    for start in run.provenance.starts:
        for name, value in flattened(start).items():
            known = values.setdefault(name, [])
            if value not in known:
                known.append(value)
    return {name: THEN.join(known) for name, known in values.items()}


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values by their dotted names, as text."""
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = ", ".join(map(str, value)) if _is_list(value) else str(value)
    return flat


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _by_value(
    comparison: Comparison, value_of: Callable[[Run], Any], asking_only: bool = False
) -> dict[str, list[str]]:
    """Return which variants have which value, as text."""
    groups: list[Point] = [*comparison.points]
    if not asking_only:
        groups = [*comparison.bounds.values(), *groups]
    runs = [(point.variant, str(value_of(run)), run) for point in groups for run in point.runs]
    of_variant: dict[str, set[str]] = {}
    for variant, value, _ in runs:
        of_variant.setdefault(variant, set()).add(value)
    values: dict[str, dict[str, None]] = {}
    for variant, value, run in runs:
        # A variant that has several is told by its runs.
        who = variant if len(of_variant[variant]) == 1 else f"{variant} (`{run.folder}`)"
        values.setdefault(value, {})[who] = None
    return {value: list(who) for value, who in values.items()}


def _sentence(what: str, values: Mapping[str, list[str]]) -> str:
    shown = [value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…" for value in values]
    if len(set(shown)) < len(shown):
        shown = list(values)
    told = [
        f"{value} in {', '.join(who)}" for value, who in zip(shown, values.values(), strict=True)
    ]
    return f"{what}: {'; '.join(told)}"

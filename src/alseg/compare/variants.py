"""What makes runs the same but for budget and seed, and how that is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alseg.compare.runs import MEANT_TO_DIFFER, OF_ASKING, Run
from alseg.config.budget import Budget
from alseg.config.settings import MAY_CHANGE, names_of

OF_DATA = frozenset(names_of("domain"))
"""Settings whose differences make no variant, since paths are among them: they are warned of."""

NOT_OF_A_VARIANT = MEANT_TO_DIFFER | MAY_CHANGE | OF_DATA
"""These, and settings that are told apart otherwise."""

Variant = tuple[str, str, frozenset[tuple[str, str]]]
"""Protocol, strategy, and by name the options and settings that are not empty."""


def variant_of(run: Run) -> Variant:
    """Return what makes runs the same but for budget and seed."""
    settings = {k: v for k, v in run.settings.items() if k not in NOT_OF_A_VARIANT}
    # A file of weights may lie elsewhere on another machine.
    settings["encoder_weights"] = Path(str(settings.get("encoder_weights"))).name
    if run.is_bound:
        settings = {k: v for k, v in settings.items() if k not in OF_ASKING}
    else:
        settings["radius"] = run.radius
        settings |= _options(run.settings.get("strategy_options") or {}, settings)
    told = {(str(k), str(v)) for k, v in settings.items() if v is not None}
    return run.protocol, "" if run.is_bound else str(run.settings["strategy"]), frozenset(told)


def _options(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a strategy's options; one that is named as a setting is told where it differs from it.

    Such is the radius: the window that a strategy looks at is usually the one that is labelled.
    """
    return {
        f"{name} of the strategy" if name in settings else name: value
        for name, value in options.items()
        if name not in settings or value != settings[name]
    }


def variant_names(runs: Iterable[Run]) -> dict[Variant, str]:
    """Name variants by their strategy, and by what else tells them apart.

    Of what variants of a strategy differ in, the value that most variants of the comparison have
    is left unsaid, so that at most one of the strategy is.
    """
    variants = {variant_of(run): dict(variant_of(run)[2]) for run in runs}
    protocols = {protocol for protocol, *_ in variants}
    names = {}
    for variant, own in variants.items():
        protocol, strategy, _ = variant
        alike = [told for (_, other, _), told in variants.items() if other == strategy]
        details = [] if len(protocols) == 1 else [protocol]
        for name in sorted({name for told in alike for name in told}):
            value = own.get(name)
            if any(told.get(name) != value for told in alike):
                count = sum(told.get(name) == value for told in variants.values())
                if 2 * count <= len(variants):
                    details.append(f"{name}={value}")
        names[variant] = f"{strategy} ({', '.join(details)})" if details else strategy
    return names


def budget_text(budget: Budget) -> str:
    """Return a budget as it stands in a table."""
    if budget.share is not None:
        return f"{100 * budget.share:g} %"
    if budget.clicks is not None:
        return f"{budget.clicks:,} clicks"
    return f"{budget.regions_per_image:,} regions per image"

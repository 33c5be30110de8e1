"""What is compared: variants, which differ in more than budget and seed, and their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alseg.config.budget import Budget
from alseg.config.protocols import PROTOCOLS
from alseg.config.settings import all_settings, names_of
from alseg.config.strategy_options import options_for, window_radius
from alseg_strategies import options

NOT_OF_A_VARIANT = names_of("output", "compared", "uncompared", "machine", "domain")
"""Settings that make no variant, beside protocol and strategy, which have a place of their own.

Those of the domains are among them, since paths are among these.
"""

USUAL_PROTOCOL = "source_target"
"""The protocol that a name leaves unsaid where it is not the only one."""


@dataclass(frozen=True)
class Variant:
    """What runs have in common that differ in budget and seed alone.

    Attributes:
        protocol: The protocol.
        strategy: The strategy; empty if no labels are asked for.
        details: By name, the options and settings that are not empty.
    """

    protocol: str
    strategy: str
    details: frozenset[tuple[str, str]]

    def name(self, unsaid: Mapping[str, str | None], budget: Budget | None = None) -> str:
        """Return what it is called, such as ``ripu (source_free, radius=4) at 1 %``.

        Args:
            unsaid: The details that go without saying, by name, and ``protocol``, if one does.
                None: a variant without this detail is not named for it.
            budget: The budget to name; None names none.
        """
        protocol, details = self._told(unsaid)
        told = ", ".join([*protocol, *details])
        text = self.strategy or self.protocol
        text = f"{text} ({told})" if told else text
        return text if budget is None else f"{text} at {budget.short}"

    def folder_name(self, unsaid: Mapping[str, str | None], budget: Budget | None = None) -> str:
        """Return its name as that of a folder, such as ``source_free-ripu-radius=4-1%``.

        It takes what `name` takes.
        """
        protocol, details = self._told(unsaid)
        words = [*protocol, self.strategy or self.protocol, *details]
        if budget is not None:
            share = budget.share
            words.append(str(budget.plain) if share is None else f"{100 * share:g}%")
        return re.sub(r"[\s(),:'\"/\\]+", "-", "-".join(words))

    def _told(self, unsaid: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
        """Return the protocol, if it is to be said, and the details that are."""
        own = dict(self.details)
        protocol = [self.protocol] if self.strategy else []
        return [name for name in protocol if name != unsaid.get("protocol")], [
            f"{name}={own.get(name)}"
            for name in sorted({*own, *unsaid} - {"protocol"})
            if own.get(name) != unsaid.get(name)
        ]


def variant_of(settings: Mapping[str, Any]) -> Variant:
    """Return the variant of a run with these settings."""
    protocol, strategy = str(settings["protocol"]), str(settings["strategy"])
    if not PROTOCOLS[protocol].active:
        asking = names_of("active")
        settings = {name: value for name, value in settings.items() if name not in asking}
        return Variant(protocol, "", details_of(settings))
    radius = window_radius(settings.get("radius"), settings.get("annotator"))
    return Variant(protocol, strategy, details_of({**settings, "radius": radius}))


def details_of(settings: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return by name the settings that make a variant and options of the strategy, as text.

    An option that is named as a setting is told where it differs from it. Such is the radius: the
    window that a strategy looks at is usually the one that is labelled.
    """
    details = {name: value for name, value in settings.items() if name not in NOT_OF_A_VARIANT}
    if details.get("encoder_weights") is not None:
        # A file of weights may have another place on another machine.
        details["encoder_weights"] = Path(str(details["encoder_weights"])).name
    details |= {
        f"{name} of the strategy" if name in details else name: value
        for name, value in (settings.get("strategy_options") or {}).items()
        if name not in details or value != details[name]
    }
    return frozenset((str(k), str(v)) for k, v in details.items() if v is not None)


def name_by_itself(settings: Mapping[str, Any]) -> str:
    """Return what the variant of a run is called where nothing is known of the runs beside it.

    Settings of what is asked for, of the head and of the losses are told where they are not the
    usual ones. What else runs may differ in by `may_differ` of a matrix is not.

    Args:
        settings: All settings of the run.
    """
    protocol, strategy = settings["protocol"], settings["strategy"]
    radius = window_radius(None, settings["annotator"])
    usual = {
        **{entry.name: entry.default for entry in all_settings()},
        **{"protocol": protocol, "strategy": strategy, "head": "linear", "radius": radius},
    }
    given = {**settings, "head": settings["head"] or "linear"}
    asks = PROTOCOLS[protocol].active
    # An option that is not given has its own default.
    for one in (usual, given) if asks else ():
        radius = window_radius(one["radius"], one["annotator"])
        chosen = options_for(strategy, one["strategy_options"], radius)
        one["strategy_options"] = {**options(strategy), **chosen}
    told = names_of("active", "variant", "compared")
    own, unsaid = (variant_of({name: one[name] for name in told}) for one in (given, usual))
    budget = Budget.parse(settings["budget"]) if asks else None
    return own.name({**dict(unsaid.details), "protocol": USUAL_PROTOCOL}, budget)

"""The protocols: which domains and labels a run trains on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Which domains a run trains on and which loss terms it sums.

    Attributes:
        domains: The domains that a training batch holds.
        terms: The names of the loss terms.
        active: Whether labels of the target are asked for.
        all_target_labels: Whether training sees every target label of the data set.
        uses_source: Whether the run needs source images, be it only for its start.
    """

    domains: tuple[str, ...]
    terms: tuple[str, ...]
    active: bool
    all_target_labels: bool = False
    uses_source: bool = True


PROTOCOLS: Mapping[str, Protocol] = {
    "source_only": Protocol(("source",), ("source",), active=False),
    "source_target": Protocol(
        ("source", "target"), ("source", "target", "consistency", "negative"), active=True
    ),
    "source_free": Protocol(("target",), ("target", "negative"), active=True),
    "target_only": Protocol(("target",), ("target", "negative"), active=True, uses_source=False),
    "fully_supervised": Protocol(("target",), ("target",), active=False, all_target_labels=True),
}

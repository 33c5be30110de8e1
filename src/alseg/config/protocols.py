"""The protocols: which domains and labels a run trains on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Which domains a run trains on and which loss terms it sums.

    Attributes:
        name: What the protocol is called.
        domains: The domains that a training batch holds.
        terms: The names of the loss terms.
        active: Whether labels of the target are asked for.
        all_target_labels: Whether training sees every target label of the data set.
        uses_source: Whether the run needs source images, be it only for its start.
    """

    name: str
    domains: tuple[str, ...]
    terms: tuple[str, ...]
    active: bool
    all_target_labels: bool = False
    uses_source: bool = True


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("source_only", ("source",), ("source",), active=False),
        Protocol(
            "source_target",
            ("source", "target"),
            ("source", "target", "consistency", "negative"),
            active=True,
        ),
        Protocol("source_free", ("target",), ("target", "negative"), active=True),
        Protocol(
            "target_only", ("target",), ("target", "negative"), active=True, uses_source=False
        ),
        Protocol(
            "fully_supervised", ("target",), ("target",), active=False, all_target_labels=True
        ),
    )
}

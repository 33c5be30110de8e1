"""What ``provenance.json`` says of a run: ``alseg fit`` writes it here, comparisons read it here.

There is an entry for the first start of the run, and one for each time that it was resumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SOURCE, POOL, CHOSEN, REPORTED = "source", "pool", "chosen on", "reported on"
"""What the images of a run are used for."""

MAY_CHANGE_FIGURES = ("versions.", "checkout.", "devices", "data.", "weights.")
"""What the dotted names begin with of what may change a figure; devices by rounding alone."""

CHANGED = "checkout.changed"
"""Dotted name: whether the checkout had changes that were not committed."""

OF_ONE_START = ("time", "command", "directory")
"""What every start has its own of."""


@dataclass(frozen=True)
class Images:
    """Which images a run used.

    Attributes:
        name: The name of the data set.
        split: Its split.
        images: How many there are.
        ids_and_sizes_sha256: See ``alseg.runs.provenance.data_digest``.
    """

    name: str
    split: str
    images: int
    ids_and_sizes_sha256: str


@dataclass(frozen=True)
class Checkout:
    """The commit that alseg runs from.

    Attributes:
        commit: Its hash.
        changed: Whether files differ from it.
        diff_sha256: The first digits of the digest of how they differ.
    """

    commit: str
    changed: bool
    diff_sha256: str | None


@dataclass(frozen=True)
class Start:
    """What a run was made with when it started or was resumed.

    Attributes:
        time: When, in UTC.
        command: The command line.
        directory: Where it was given.
        versions: Of Python and of the distributions that figures depend on.
        checkout: None where alseg runs from no checkout.
        platform: The operating system.
        devices: What it computed on.
        data: The images by what they are used for.
        weights: Name and digest of the encoder's weights.
        init_from: Name and digest of the checkpoint that it started from.
    """

    time: str
    command: list[str]
    directory: str
    versions: dict[str, str | None]
    checkout: Checkout | None
    platform: str
    devices: list[str]
    data: dict[str, Images]
    weights: dict[str, str] | None
    init_from: dict[str, str] | None


@dataclass(frozen=True)
class RunProvenance:
    """What a run was made with.

    Attributes:
        content: What the file holds, which may be anything; empty where there is none.
    """

    content: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the content of the file."""
        return (json.dumps(self.content, indent=2) + "\n").encode()

    @classmethod
    def decode(cls, text: str) -> RunProvenance:
        """Return what ``encode`` was called on.

        Raises:
            KeyError, RecursionError, TypeError, ValueError: It is no list of starts.
        """
        starts = json.loads(text)["starts"]
        if not isinstance(starts, list):
            raise TypeError("starts is no list")
        return cls({"starts": starts})

    def and_then(self, start: Start) -> RunProvenance:
        """Return this with another start, the newest."""
        return RunProvenance({"starts": [*self.content.get("starts", ()), asdict(start)]})

    @property
    def starts(self) -> list[Mapping[str, Any]]:
        """The starts, oldest first; empty ones in place of what cannot be used."""
        starts = self.content.get("starts")
        known = starts if isinstance(starts, Sequence) else []
        return [start if isinstance(start, Mapping) else {} for start in known]

    def data_name(self, part: str) -> str | None:
        """Return what the images of a part are called, at the newest start; None if not known."""
        try:
            return str(self.starts[-1]["data"][part]["name"])
        except (TypeError, KeyError, IndexError):
            return None

    def first_digests(self) -> dict[str, str]:
        """Return the digests of the images that the run was started with, by part.

        Raises:
            KeyError, TypeError, IndexError: They are not known.
        """
        data = self.content["starts"][0]["data"]
        return {part: images["ids_and_sizes_sha256"] for part, images in data.items()}

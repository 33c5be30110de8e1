"""The contract of a strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alseg_strategies.signals import Signals

BY_PIXEL = ("pixel", "region")
"""The levels of strategies that give every pixel a score."""

BY_IMAGE = ("image", "pool")
"""The levels of strategies that give every image a score."""


@dataclass(frozen=True)
class RoundView:
    """What a strategy may know of the round that it is fitted for.

    Attributes:
        number: The round, from 1.
        rounds: Rounds of the run.
        due: What the round may ask for in all images together, in ``unit``.
        unit: "pixels", "regions" or "clicks"; whole images count as regions.
        asked: The share of its pixels that earlier rounds asked for, by the name of each image of
            the pool, in the order of the pool; 0 where none was.
    """

    number: int
    rounds: int
    due: int
    unit: str
    asked: Mapping[str, float]


class Strategy(ABC):
    """Says which pixels are worth a label.

    A strategy is pure: it reads no file and no label, chooses no device, and draws random numbers
    only from the generator that it is given. Its options are arguments of its constructor, each
    with a default, and plain attributes of the same names.

    Attributes:
        name: What runs call it; empty: the name that it is registered by.
        requires: Names of the signals that it reads, a subset of the fields of `Signals`.
        level: What its scores rank: "pixel" or "region", with a score for every pixel; "image",
            with one for every image; or "pool", the same of one that ranks images by what `fit`
            saw of the whole pool.
    """

    name: str = ""
    requires: frozenset[str] = frozenset({"logits"})
    level: str = "pixel"

    @abstractmethod
    def score(self, signals: Signals, generator: torch.Generator | None = None) -> Tensor:
        """Rank every pixel of a batch, or every image.

        Args:
            signals: What the model says, B images of H by W pixels.
            generator: Source of randomness for strategies that need one.

        Returns:
            B,H,W floating scores for the levels "pixel" and "region", B for "image" and "pool";
            higher = ask first, finite for any finite signals. The score of an image does not
            depend on the other images of its batch.

        Raises:
            SignalError: A required signal is missing or not finite.
        """

    def fit(
        self,
        source: Iterable[Signals],
        pool: Iterable[Signals],
        generator: torch.Generator | None = None,
        round: RoundView | None = None,
    ) -> None:
        """Look at the whole source and pool before a round; most strategies need not.

        What it learns it keeps as attributes, which can be pickled; `score` reads them. The names
        of `Signals` are the same in both, so that `score` can look up what was learnt of an image.

        Args:
            source: Signals of the labelled images, one image at a time, with the signals in
                `requires`, on the CPU and at the model's own resolution: maps are not resized.
                Each pass computes them again; empty where there is no source.
            pool: The same of the images that labels may be asked for.
            generator: Source of randomness for strategies that need one.
            round: What the round may ask for, and what was asked before it; given by its name.
        """
        del source, pool, generator, round

    def exclusion_radius(self, radius: int) -> int:
        """How far apart the regions that it ranks best are picked, unless somebody decides.

        Args:
            radius: Window radius of a region in pixels, 0 = one pixel.

        Returns:
            Window radius around a pick in which no further pick is made: 2 radius, unless the
            strategy was published with another. Never less than `radius`.
        """
        return 2 * radius

    def check(self, signals: Signals) -> None:
        """Raise `SignalError` unless all that the strategy requires is there and finite."""
        signals.require(self.requires, asked_by=type(self).__name__)


def check_radius(strategy: str, radius: int) -> None:
    """Raise `ValueError` unless the window radius is a whole number of pixels, 0 or more."""
    if isinstance(radius, bool) or not isinstance(radius, int) or radius < 0:
        raise ValueError(
            f"{strategy}: radius is {radius!r}; it must be a whole number of pixels, 0 or more"
        )


def check_choice(strategy: str, option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` unless the value of an option is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{strategy}: {option} is {value!r}; it must be {' or '.join(allowed)}")

"""What a round asks for: the one description that is chosen by, kept in manifests and read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.config.budget import Budget
from alseg.errors import BudgetError, ConfigError, LabelStoreError
from alseg.labels import LabelStore, PoolImage
from alseg.labels.region_shape import RegionShape, check_counted, read_region, write_region
from alseg_strategies import RoundView, Strategy

SCOPES = ("image", "pool")


@dataclass(frozen=True)
class RoundRequest:
    """What a round may ask for, and by which strategy.

    Attributes:
        number: The round, from 1.
        rounds: Rounds of the run.
        budget: What the whole run may ask for.
        region: The shape of a region.
        scope: ``image``: every image is asked for the same share; ``pool``: the best regions of
            the pool, wherever they are.
        seed: Of what a strategy draws at random.
        strategy: The name of the strategy.
        strategy_options: Its options.

    Raises:
        ConfigError: The scope is unknown, or the budget does not count what is asked for.
    """

    number: int
    rounds: int
    budget: Budget
    region: RegionShape
    scope: str = "image"
    seed: int = 0
    strategy: str = ""
    strategy_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ConfigError(f"Got the scope {self.scope!r}; allowed are {' and '.join(SCOPES)}.")
        check_counted(self.budget, self.region)

    def region_cost(self, images: Iterable[PoolImage]) -> int:
        """Return the most that one region of some images can cost, in the budget's unit."""
        sizes = {(image.height, image.width) for image in images}
        return self.budget.region_cost(max(map(self.region.largest_cost, sizes), default=1))

    def deficits(self, store: LabelStore) -> NDArray[np.float64]:
        """Return what each image of a store is to be asked for by this round, in the budget's unit.

        Args:
            store: The label store; what its later rounds asked for does not count.

        Raises:
            LabelStoreError: The store cannot be read.
        """
        targets = self.budget.targets(store.areas, self.number, self.rounds)
        due: NDArray[np.float64] = targets - store.spent(self.budget.unit, self.number - 1)
        return due

    def view(self, store: LabelStore) -> RoundView:
        """Return what a strategy may know of the round.

        Args:
            store: The label store, with the rounds before.

        Raises:
            LabelStoreError: The store cannot be read.
        """
        shares = store.spent("pixels", self.number - 1) / store.areas
        return RoundView(
            number=self.number,
            rounds=self.rounds,
            due=max(0, round(float(self.deficits(store).sum()))),
            unit=self.budget.unit,
            asked={
                image.id: float(share) for image, share in zip(store.images, shares, strict=True)
            },
        )

    def settings(self) -> dict[str, Any]:
        """Return what a manifest keeps of it, as JSON values, without the number of the round."""
        return {
            "rounds": self.rounds,
            "seed": self.seed,
            "strategy": self.strategy,
            "strategy_options": dict(self.strategy_options),
            "budget": self.budget.plain,
            "scope": self.scope,
            "region": write_region(self.region),
        }

    @classmethod
    def read(cls, number: int, settings: Mapping[str, Any]) -> RoundRequest:
        """Return the request that a manifest or the queries of a round keep.

        Args:
            number: The round.
            settings: What ``settings`` gave; further entries are left alone.

        Raises:
            LabelStoreError: Something is missing, or is not what ``settings`` gives.
        """
        try:
            rounds, seed, options = (
                settings[name] for name in ("rounds", "seed", "strategy_options")
            )
            if not (type(rounds) is int and rounds >= number and type(seed) is int):
                raise ValueError("its rounds or its seed is invalid")
            if not (isinstance(settings["strategy"], str) and isinstance(options, Mapping)):
                raise ValueError("its strategy is invalid")
            return cls(
                number=number,
                rounds=rounds,
                budget=Budget.parse(settings["budget"]),
                region=read_region(settings["region"]),
                scope=settings["scope"],
                seed=seed,
                strategy=settings["strategy"],
                strategy_options=dict(options),
            )
        except (BudgetError, ConfigError, KeyError, TypeError, ValueError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise LabelStoreError(
                f"The settings of round {number} are not those of a round: {what}. Restore its "
                "files from a copy."
            ) from error


def options_of(strategy: Strategy) -> dict[str, Any]:
    """Return the options of a strategy, as JSON values."""
    own = ("level", "name", "requires")
    return {
        option: value
        for option, value in vars(strategy).items()
        if isinstance(value, str | int | float | bool) and option not in own
    }

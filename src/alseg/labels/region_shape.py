"""What a region is: the protocol of its shapes, and how files name them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from alseg.config.budget import Budget
from alseg.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from alseg.config.run import RunConfig
    from alseg.labels.candidates import Candidates, Thresholds
    from alseg_strategies import Strategy

Size = tuple[int, int]
"""Height and width of an image in pixels."""

SPLITS = ("quadrants", "pixels", "drop")
"""What becomes of a region that is answered as mixed: its parts are asked for, or it is void."""


COUNTED = {
    "pixels": 'a share of the pixels, such as "1%"',
    "regions": 'regions per image, such as "40 regions"',
    "images": 'whole images, such as "20 images"',
    "clicks": 'clicks, such as "500 clicks"',
}
"""How what a budget counts is described."""


class Box(NamedTuple):
    """A rectangle of pixels: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def pixels(self) -> int:
        """Pixels in it."""
        return (self.bottom - self.top) * (self.right - self.left)

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column of its middle, of two middles the upper and the left one."""
        return (self.top + self.bottom - 1) // 2, (self.left + self.right - 1) // 2


class RegionShape(Protocol):
    """Which pixels a region holds, what it costs, how it is drawn and how it splits.

    A region is known by a pixel of its own, its *anchor*; for a square window that is its centre.
    Everything that handles regions asks their shape, so a new shape is a new file in
    ``alseg/labels/regions``, named like the shape, whose ``SHAPE`` is a frozen dataclass.
    """

    @property
    def name(self) -> str:
        """What files call it: the name of its own file in ``alseg/labels/regions``."""

    @property
    def levels(self) -> Collection[str]:
        """The levels of the strategies that it is chosen by, see ``Strategy.level``."""

    @property
    def is_painted(self) -> bool:
        """Whether people answer with a mask of its pixels, instead of one class for all."""

    @property
    def units(self) -> Collection[str]:
        """What a budget of such regions may count, of the values of ``Budget.counts``."""

    @property
    def advice(self) -> str:
        """A sentence on what leaves more to ask for, where the pool is exhausted."""

    @property
    def radius(self) -> int:
        """Window radius that a strategy looks at where it is given none, in pixels."""

    @property
    def columns(self) -> Mapping[str, int]:
        """What the files of a round repeat for every region, by name."""

    @classmethod
    def of_run(cls, config: RunConfig) -> RegionShape:
        """Return the shape that the settings of a run describe."""

    def settings(self) -> dict[str, Any]:
        """Return what a manifest keeps of it, as JSON values, without the name."""

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> RegionShape:
        """Return the shape that ``settings`` gave.

        Raises:
            KeyError: A value is missing.
            ValueError: A value is not one that ``settings`` gives.
        """

    def for_strategy(self, strategy: Strategy) -> RegionShape:
        """Return the shape with what was left open decided by a strategy."""

    def largest_cost(self, size: Size) -> int:
        """Return the most pixels that a region of an image of a size holds."""

    def candidates(
        self,
        score: Tensor,
        need: float,
        *,
        unit: str,
        asked: NDArray[np.bool_],
        barred: NDArray[np.bool_],
        thresholds: Thresholds,
        seed: int,
    ) -> Candidates:
        """Pick regions of one image until they cost ``need`` or more, or none is left.

        Args:
            score: H×W, higher is asked first; minus infinity is never asked.
            need: What the regions shall cost at least, in ``unit``; no more are picked than that
                takes.
            unit: ``pixels``: a region costs what it covers first; ``regions`` or ``clicks``: 1.
            asked: H×W, pixels that cost nothing any more.
            barred: H×W, pixels that cannot be an anchor.
            thresholds: Regions of lower scores are not wanted.
            seed: Of what is drawn.

        Returns:
            The regions, best first.
        """

    def barred(
        self, size: Size, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return the pixels, H×W, that the regions of some anchors bar from being an anchor."""

    def owners(
        self, size: Size, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return for every pixel, H×W, which region was the first to hold it; -1 for none."""

    def outline(self, size: Size, row: int, column: int) -> Box:
        """Return the smallest box around a region: what pages and other tools draw."""

    def parts(self, box: Box, split: str) -> tuple[Box, ...]:
        """Return what is asked once a region is answered as mixed; nothing if that makes it void.

        Args:
            box: The outline of the region.
            split: One of ``SPLITS``.
        """


REGIONS = "alseg.labels.regions"


def write_region(region: RegionShape) -> dict[str, Any]:
    """Return what a manifest keeps of a shape: its name and its settings."""
    return {"shape": region.name, **region.settings()}


def read_region(settings: object) -> RegionShape:
    """Return the shape that a manifest keeps.

    Raises:
        ValueError: There is no such shape, or its settings are invalid.
    """
    if not isinstance(settings, Mapping):
        raise ValueError("the shape of its regions is missing")
    name = settings.get("shape")
    if not isinstance(name, str) or name not in available_shapes():
        raise ValueError(
            f"the shape of its regions is {name!r:.40}; allowed are {', '.join(available_shapes())}"
        )
    try:
        return _shape(name).read(settings)
    except KeyError as error:
        raise ValueError(f"the shape of its regions has no {error}") from error


def region_of(config: RunConfig) -> RegionShape:
    """Return the shape of the regions that a run asks for."""
    return _shape(config.region).of_run(config)


def _shape(name: str) -> type[RegionShape]:
    shape: type[RegionShape] = import_module(f"{REGIONS}.{name}").SHAPE
    return shape


def check_region(region: RegionShape) -> None:
    """Check that a shape can be read back from a manifest, before anything is asked by it.

    Raises:
        ConfigError: It cannot.
    """
    try:
        fits = read_region(write_region(region)) == region
    except (AttributeError, ValueError):
        fits = False
    if not fits:
        raise ConfigError(
            f"region is {region!r:.80}, which a manifest cannot keep; allowed are the shapes "
            f"{', '.join(available_shapes())} of {REGIONS}."
        )


def check_counted(budget: Budget, region: RegionShape) -> None:
    """Check that a budget counts what regions of a shape are charged in.

    Raises:
        ConfigError: It does not.
    """
    if budget.counts not in region.units:
        allowed = " or ".join(COUNTED[unit] for unit in region.units)
        raise ConfigError(
            f"The budget of {budget} counts {COUNTED[budget.counts]}, and this run asks for "
            f"{region.name}; allowed are {allowed}. Change the budget, or the shape of the "
            "regions: `--region image` or ActiveLoop(region=WholeImage()) asks for whole images, "
            "`--region windows` for windows."
        )


def available_shapes() -> tuple[str, ...]:
    """Return the names of the shapes."""
    files = (Path(__file__).parent / "regions").glob("*.py")
    return tuple(sorted(path.stem for path in files if path.stem != "__init__"))

"""Square windows around pixels, as RIPU (arXiv 2111.12940) asks for; a radius of 0 is one pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from alseg.errors import ConfigError
from alseg.labels.candidates import ALL_WANTED, Candidates, Thresholds, enough
from alseg.labels.region_shape import Box, Size

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alseg.config.run import RunConfig
    from alseg_strategies import Strategy

CLIPPED = ("last", "any")
FARTHEST = 1 << 20
"""Pixels of the largest radius that a file may name."""
SPARE = 8
"""Windows that are picked beyond what is needed: a clipped one costs less than a whole one."""


@dataclass(frozen=True)
class Windows:
    """Windows of (2·radius+1)² pixels, clipped by the border of the image.

    Attributes:
        radius: Window radius k, in pixels.
        exclusion_radius: Window radius around a centre in which no further centre is picked, in
            this and later rounds; None takes the strategy's own, 2k unless it says otherwise.
        clipped: ``last``: windows that the border clips are asked for once no whole one is left,
            of their image or, in the scope ``pool``, of the pool; ``any``: by their scores, as
            published.

    Raises:
        ConfigError: A radius is negative, the exclusion would let a window be asked for twice, or
            ``clipped`` is another word.
    """

    name: ClassVar[str] = "windows"
    levels: ClassVar[tuple[str, ...]] = ("pixel", "region")
    is_painted: ClassVar[bool] = False
    units: ClassVar[tuple[str, ...]] = ("pixels", "regions", "clicks")
    advice: ClassVar[str] = (
        "A smaller exclusion radius (--exclusion-radius) leaves more to ask for."
    )

    radius: int = 1
    exclusion_radius: int | None = None
    clipped: Literal["last", "any"] = "last"

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ConfigError(f"radius is {self.radius}; it must be 0 or more.")
        if self.clipped not in CLIPPED:
            raise ConfigError(f"clipped is {self.clipped!r}; allowed are {' and '.join(CLIPPED)}.")
        if self.exclusion < self.radius:
            raise ConfigError(
                f"An exclusion radius of {self.exclusion} lets regions of radius {self.radius} be "
                f"asked for around pixels that are labelled already; use {self.radius} or more."
            )

    @classmethod
    def of_run(cls, config: RunConfig) -> Windows:
        """Return what the settings of a run say."""
        return cls(config.window_radius, config.exclusion_radius, config.clipped)

    @property
    def exclusion(self) -> int:
        """Window radius around a centre in which no further centre is picked."""
        return 2 * self.radius if self.exclusion_radius is None else self.exclusion_radius

    @property
    def side(self) -> int:
        """Height and width of a window that no border clips, in pixels."""
        return 2 * self.radius + 1

    @property
    def columns(self) -> Mapping[str, int]:
        """The radius, which every line of a round's files repeats."""
        return {"radius": self.radius}

    def settings(self) -> dict[str, Any]:
        """Return the radii, and what happens to clipped windows."""
        return {**asdict(self), "exclusion_radius": self.exclusion}

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Windows:
        """Return the windows that ``settings`` gave.

        Raises:
            KeyError: A value is missing.
            ValueError: A value is not one that ``settings`` gives.
        """
        radii = settings["radius"], settings["exclusion_radius"]
        if not all(type(radius) is int and 0 <= radius <= FARTHEST for radius in radii):
            raise ValueError("a radius of its regions is invalid")
        try:
            return cls(*radii, settings["clipped"])
        except ConfigError as error:
            raise ValueError(f"its regions are invalid ({error})") from error

    def for_strategy(self, strategy: Strategy) -> Windows:
        """Return the windows with the strategy's exclusion radius, unless one was given."""
        if self.exclusion_radius is not None:
            return self
        own = max(self.radius, strategy.exclusion_radius(self.radius))
        return replace(self, exclusion_radius=own)

    def largest_cost(self, size: Size) -> int:
        """Return the pixels of a whole window, or of what the smaller image leaves of it."""
        height, width = size
        return min(self.side, height) * min(self.side, width)

    def candidates(
        self,
        score: Tensor,
        need: float,
        *,
        unit: str,
        asked: NDArray[np.bool_],
        barred: NDArray[np.bool_],
        thresholds: Thresholds = ALL_WANTED,
        seed: int = 0,
    ) -> Candidates:
        """Pick windows of one image until they cost ``need`` or more, or none is left.

        Of equal scores the first column goes first where windows that the border clips are taken by
        their scores, as published; else the order is drawn, so that no side of the image is
        preferred. Arguments and result are those of ``RegionShape.candidates``.
        """
        import torch

        from alseg_strategies import clipped_centres, select_regions

        height, width = score.shape
        labelled = torch.from_numpy(asked).to(score.device)
        last, ties = torch.zeros(score.shape, dtype=torch.bool), None
        if self.clipped == "last":
            last = clipped_centres(height, width, self.radius)
            ties = drawn_order(height, width, seed)
        unwanted = torch.where(
            last.to(score.device), score < thresholds.last, score < thresholds.first
        )
        unavailable = torch.from_numpy(barred).to(score.device) | labelled | unwanted
        whole = self.largest_cost((height, width)) if unit == "pixels" else 1
        centres: list[Tensor] = [torch.zeros(0, 2, dtype=torch.long)]
        costs: list[Tensor] = [torch.zeros(0, dtype=torch.long)]
        missing = need
        while missing > 0:
            count = math.ceil(missing / whole) + SPARE
            picked = select_regions(
                score,
                count,
                self.radius,
                self.exclusion,
                unavailable=unavailable,
                labelled=labelled,
                clipped=self.clipped,
                ties=ties,
            )
            cost = picked.costs if unit == "pixels" else torch.ones_like(picked.costs)
            centres.append(picked.centres.cpu())
            costs.append(cost.cpu())
            missing -= int(cost.sum())
            if len(picked.centres) < count:
                break
            unavailable = unavailable | picked.excluded
            labelled = labelled | picked.labelled
        rows, columns = torch.cat(centres).unbind(1)
        found = Candidates(
            rows.numpy(),
            columns.numpy(),
            score[rows.to(score.device), columns.to(score.device)].double().cpu().numpy(),
            torch.cat(costs).numpy(),
            last[rows, columns].numpy(),
        )
        return found.first(enough(found.costs, need))

    def barred(
        self, size: Size, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return the union of the exclusions, H×W; its cost is flat in the radius."""
        height, width = size
        corners = np.zeros((height + 1, width + 1), dtype=np.int32)
        reach = self.exclusion
        top, bottom = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, height)
        left, right = np.maximum(columns - reach, 0), np.minimum(columns + reach + 1, width)
        np.add.at(corners, (top, left), 1)
        np.add.at(corners, (bottom, right), 1)
        np.add.at(corners, (top, right), -1)
        np.add.at(corners, (bottom, left), -1)
        np.cumsum(corners, axis=0, out=corners)
        np.cumsum(corners, axis=1, out=corners)
        covered: NDArray[np.bool_] = corners[:-1, :-1] > 0
        return covered

    def owners(
        self, size: Size, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return for every pixel, H×W, which window was the first to hold it; -1 for none."""
        owner = np.full(size, -1, dtype=np.int32)
        top, left = np.maximum(rows - self.radius, 0), np.maximum(columns - self.radius, 0)
        boxes = zip(
            top.tolist(),
            (rows + self.radius + 1).tolist(),
            left.tolist(),
            (columns + self.radius + 1).tolist(),
            strict=True,
        )
        for region, (first, last, start, stop) in reversed(list(enumerate(boxes))):
            owner[first:last, start:stop] = region
        return owner

    def outline(self, size: Size, row: int, column: int) -> Box:
        """Return the window around a pixel, clipped by the image."""
        height, width = size
        return Box(
            max(row - self.radius, 0),
            max(column - self.radius, 0),
            min(row + self.radius + 1, height),
            min(column + self.radius + 1, width),
        )

    def parts(self, box: Box, split: str) -> tuple[Box, ...]:
        """Return the quadrants or the pixels of a window; nothing if it has a single pixel."""
        if box.pixels == 1 or split == "drop":
            return ()
        if split == "quadrants":
            # Of a window that the image's border clips, the middle is not the centre.
            middle = (box.top + box.bottom) // 2, (box.left + box.right) // 2
            rows = [(box.top, middle[0]), (middle[0], box.bottom)]
            columns = [(box.left, middle[1]), (middle[1], box.right)]
        else:
            rows = [(row, row + 1) for row in range(box.top, box.bottom)]
            columns = [(column, column + 1) for column in range(box.left, box.right)]
        return tuple(
            Box(top, left, bottom, right)
            for top, bottom in rows
            for left, right in columns
            if top < bottom and left < right
        )


SHAPE = Windows


def drawn_order(height: int, width: int, seed: int) -> torch.Tensor:
    """Return the places 0, 1, 2, ... of the pixels of an image in an order drawn at random: H×W."""
    import torch

    order = np.random.default_rng(seed).permutation(height * width)
    return torch.from_numpy(order).view(height, width)

"""Whole images, as people label them with a labelling tool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from alseg.labels.candidates import ALL_WANTED, Candidates, Thresholds
from alseg.labels.region_shape import Box, Size

if TYPE_CHECKING:
    from torch import Tensor

    from alseg.config.run import RunConfig
    from alseg_strategies import Strategy


@dataclass(frozen=True)
class WholeImage:
    """All pixels of an image; its anchor is the first one.

    A strategy that scores pixels ranks images by their mean score.
    """

    name: ClassVar[str] = "image"
    levels: ClassVar[tuple[str, ...]] = ("pixel", "region", "image", "pool")
    is_painted: ClassVar[bool] = True
    units: ClassVar[tuple[str, ...]] = ("pixels", "images")
    advice: ClassVar[str] = "Only a larger pool has more images to ask for."
    radius: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, int]] = {}

    @classmethod
    def of_run(cls, config: RunConfig) -> WholeImage:
        """Return the shape, which has no settings."""
        del config
        return cls()

    def settings(self) -> dict[str, Any]:
        """Return nothing: there is one such shape."""
        return {}

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> WholeImage:
        """Return the shape."""
        del settings
        return cls()

    def for_strategy(self, strategy: Strategy) -> WholeImage:
        """Return the shape: no strategy changes it."""
        del strategy
        return self

    def largest_cost(self, size: Size) -> int:
        """Return the pixels of the image."""
        return size[0] * size[1]

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
        """Return the image, with the mean of its scores, unless it is asked for already.

        An image is worth a look where less than its pixels are needed too: which image is asked
        for is decided among all of them. Arguments and result are those of
        ``RegionShape.candidates``.
        """
        del seed
        mean = float(score.double().mean())
        wanted = need > 0 and not barred.any() and not asked.all() and mean >= thresholds.first
        count = int(wanted and mean > -np.inf)
        cost = int(asked.size - asked.sum()) if unit == "pixels" else 1
        return Candidates(
            np.zeros(count, dtype=np.int64),
            np.zeros(count, dtype=np.int64),
            np.full(count, mean),
            np.full(count, cost, dtype=np.int64),
            np.zeros(count, dtype=bool),
        )

    def barred(
        self, size: Size, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return all pixels, H×W, or none without an anchor."""
        return np.full(size, len(rows) > 0)

    def owners(
        self, size: Size, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return 0 for every pixel, H×W; -1 without an anchor."""
        return np.full(size, 0 if len(rows) else -1, dtype=np.int32)

    def outline(self, size: Size, row: int, column: int) -> Box:
        """Return the box of the image."""
        return Box(0, 0, *size)

    def parts(self, box: Box, split: str) -> tuple[Box, ...]:
        """Return nothing: an image is painted, not split."""
        return ()


SHAPE = WholeImage

"""Regions of one image that a round may ask for, best first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Thresholds(NamedTuple):
    """Below which scores regions are not wanted any more.

    Attributes:
        first: That of regions that come first, and of all where none comes last.
        last: That of regions that come after all others.
    """

    first: float = -math.inf
    last: float = -math.inf


ALL_WANTED = Thresholds()


@dataclass(frozen=True)
class Candidates:
    """Regions of one image in the order in which they would be asked for.

    Attributes:
        rows: Row of each anchor.
        columns: Column of each anchor.
        scores: Score of each anchor; never rises from one to the next of those that are last, or
            of those that are not.
        costs: What each region costs if all before it are asked for too, in the budget's unit.
        last: Which of them come after all others.
        classes: The class that the network gives each anchor; None where that is not known.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: NDArray[np.float64]
    costs: NDArray[np.int64]
    last: NDArray[np.bool_]
    classes: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> Candidates:
        """Return the best ``count`` of them."""
        part = slice(count)
        return replace(
            self,
            rows=self.rows[part],
            columns=self.columns[part],
            scores=self.scores[part],
            costs=self.costs[part],
            last=self.last[part],
            classes=None if self.classes is None else self.classes[part],
        )


def enough(costs: NDArray[np.int64], need: float) -> int:
    """Return how many costs to take from the front for a sum of ``need`` or more, or all."""
    if need <= 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(costs), need)) + 1, len(costs))

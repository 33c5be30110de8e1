"""Regions that a round may ask for, and a list of the best of them in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alseg.active.budget import by_score
from alseg_strategies import select_regions

# A few regions more than the budget needs, because clipped ones cost less than a whole one.
SPARE = 8


@dataclass(frozen=True)
class Candidates:
    """Regions of one image in the order in which they would be asked for.

    Attributes:
        rows: Row of each centre.
        columns: Column of each centre.
        scores: Score of each centre; never rises from one to the next.
        costs: What each region costs if all before it are asked for too, in the budget's unit.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: NDArray[np.float64]
    costs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> Candidates:
        """Return the best ``count`` of them."""
        part = slice(count)
        return Candidates(self.rows[part], self.columns[part], self.scores[part], self.costs[part])


def pick_candidates(
    score: Tensor,
    need: float,
    *,
    unit: str,
    radius: int,
    exclusion_radius: int,
    asked: NDArray[np.bool_],
    barred: NDArray[np.bool_],
    threshold: float = -math.inf,
) -> Candidates:
    """Pick regions of one image until they cost ``need`` or more, or none is left.

    Args:
        score: H×W, higher is asked first.
        need: What the regions shall cost at least, in ``unit``; no more are picked than that takes.
        unit: ``pixels``: a region costs what it covers first; ``regions``: each costs 1.
        radius: Window radius of a region.
        exclusion_radius: Window radius around a centre in which no further centre may lie.
        asked: H×W, pixels that cost nothing any more.
        barred: H×W, pixels that cannot be a centre.
        threshold: Regions of a lower score are not wanted.
    """
    labelled = torch.from_numpy(asked).to(score.device)
    unavailable = torch.from_numpy(barred).to(score.device) | labelled | (score < threshold)
    whole = (2 * radius + 1) ** 2 if unit == "pixels" else 1
    centres: list[Tensor] = [torch.zeros(0, 2, dtype=torch.long)]
    costs: list[Tensor] = [torch.zeros(0, dtype=torch.long)]
    missing = need
    while missing > 0:
        count = math.ceil(missing / whole) + SPARE
        regions = select_regions(
            score, count, radius, exclusion_radius, unavailable=unavailable, labelled=labelled
        )
        cost = regions.costs if unit == "pixels" else torch.ones_like(regions.costs)
        centres.append(regions.centres.cpu())
        costs.append(cost.cpu())
        missing -= int(cost.sum())
        if len(regions.centres) < count:
            break
        unavailable = unavailable | regions.excluded
        labelled = labelled | regions.labelled
    rows, columns = torch.cat(centres).unbind(1)
    found = Candidates(
        rows.numpy(),
        columns.numpy(),
        score[rows.to(score.device), columns.to(score.device)].double().cpu().numpy(),
        torch.cat(costs).numpy(),
    )
    return found.first(_enough(found.costs, need))


class Shortlist:
    """The best candidates of many images: no more are kept than could be chosen.

    Attributes:
        images: The candidates kept, by pool index.
        threshold: No candidate of a lower score can be among the best any more.
    """

    def __init__(self, need: float) -> None:
        """Keep what it takes to spend ``need``, in the budget's unit."""
        self.images: dict[int, Candidates] = {}
        self.threshold = -math.inf
        self._need = need
        self._kept = 0

    def add(self, index: int, candidates: Candidates) -> None:
        """Take up the candidates of an image."""
        self.images[index] = candidates
        self._kept += int(candidates.costs.sum())
        # Sorting only when twice the need has come together makes the cost per candidate flat.
        if self._kept > 2 * self._need:
            self.trim()

    def trim(self) -> None:
        """Drop all that cannot be among the best, in the order of score, image, pick."""
        image, scores, costs = flatten(self.images)
        order = by_score(scores)
        best = order[: _enough(costs[order], self._need)]
        counts = np.bincount(image[best], minlength=max(self.images, default=0) + 1)
        self.images = {
            index: candidates.first(int(counts[index])) for index, candidates in self.images.items()
        }
        self._kept = int(costs[best].sum())
        if self._kept >= self._need and len(best):
            self.threshold = float(scores[best[-1]])


def flatten(
    images: dict[int, Candidates],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return image, score and cost of all candidates, by image in pool order, then by pick."""
    indices = sorted(images)
    lengths = [len(images[index]) for index in indices]
    image = np.repeat(np.array(indices, dtype=np.int64), lengths)
    scores = np.concatenate([np.zeros(0), *(images[index].scores for index in indices)])
    costs = np.concatenate(
        [np.zeros(0, dtype=np.int64), *(images[index].costs for index in indices)]
    )
    return image, scores, costs


def _enough(costs: NDArray[np.int64], need: float) -> int:
    if need <= 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(costs), need)) + 1, len(costs))

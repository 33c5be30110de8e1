"""Regions that a round may ask for, and a list of the best of them in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alseg.config.budget import by_score
from alseg_strategies import clipped_centres, select_regions

# A few regions more than the budget needs, because clipped ones cost less than a whole one.
SPARE = 8


Clipped = Literal["last", "any"]
"""Whether windows that the border clips come after whole ones, or by their scores."""


class Thresholds(NamedTuple):
    """Below which scores regions are not wanted any more.

    Attributes:
        whole: That of whole windows, and of all where clipped ones do not come last.
        clipped: That of windows that come after the whole ones.
    """

    whole: float = -math.inf
    clipped: float = -math.inf


ALL_WANTED = Thresholds()


@dataclass(frozen=True)
class Candidates:
    """Regions of one image in the order in which they would be asked for.

    Attributes:
        rows: Row of each centre.
        columns: Column of each centre.
        scores: Score of each centre; never rises from one to the next of those that are last, or
            of those that are not.
        costs: What each region costs if all before it are asked for too, in the budget's unit.
        last: Which of them come after all others because the border clips them.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: NDArray[np.float64]
    costs: NDArray[np.int64]
    last: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> Candidates:
        """Return the best ``count`` of them."""
        part = slice(count)
        return Candidates(
            self.rows[part],
            self.columns[part],
            self.scores[part],
            self.costs[part],
            self.last[part],
        )


def pick_candidates(
    score: Tensor,
    need: float,
    *,
    unit: str,
    radius: int,
    exclusion_radius: int,
    asked: NDArray[np.bool_],
    barred: NDArray[np.bool_],
    thresholds: Thresholds = ALL_WANTED,
    clipped: Clipped = "last",
    seed: int = 0,
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
        thresholds: Regions of lower scores are not wanted.
        clipped: ``last``: windows that the border clips come after the whole ones; ``any``: all by
            their scores. Of equal scores the first column goes first under ``any``, as published;
            under ``last`` the order is drawn, so that no side of the image is preferred.
        seed: Of what is drawn.
    """
    labelled = torch.from_numpy(asked).to(score.device)
    last, ties = torch.zeros(score.shape, dtype=torch.bool), None
    if clipped == "last":
        height, width = score.shape
        last, ties = clipped_centres(height, width, radius), drawn_order(height, width, seed)
    unwanted = torch.where(
        last.to(score.device), score < thresholds.clipped, score < thresholds.whole
    )
    unavailable = torch.from_numpy(barred).to(score.device) | labelled | unwanted
    whole = (2 * radius + 1) ** 2 if unit == "pixels" else 1
    centres: list[Tensor] = [torch.zeros(0, 2, dtype=torch.long)]
    costs: list[Tensor] = [torch.zeros(0, dtype=torch.long)]
    missing = need
    while missing > 0:
        count = math.ceil(missing / whole) + SPARE
        regions = select_regions(
            score,
            count,
            radius,
            exclusion_radius,
            unavailable=unavailable,
            labelled=labelled,
            clipped=clipped,
            ties=ties,
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
        last[rows, columns].numpy(),
    )
    return found.first(_enough(found.costs, need))


def drawn_order(height: int, width: int, seed: int) -> Tensor:
    """Return the places 0, 1, 2, ... of the pixels of an image in an order drawn at random: H×W."""
    order = np.random.default_rng(seed).permutation(height * width)
    return torch.from_numpy(order).view(height, width)


class Shortlist:
    """The best candidates of many images: no more are kept than could be chosen.

    Attributes:
        images: The candidates kept, by pool index.
        thresholds: No candidate of a lower score can be among the best any more.
    """

    def __init__(self, need: float) -> None:
        """Keep what it takes to spend ``need``, in the budget's unit."""
        self.images: dict[int, Candidates] = {}
        self.thresholds = ALL_WANTED
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
        """Drop all that cannot be among the best, in the order of score, image, pick.

        Whole windows come first: while they alone spend what is needed, no clipped one is wanted;
        where they do not, every whole one is.
        """
        image, scores, costs, last = flatten(self.images)
        order = by_score(scores, last)
        best = order[: _enough(costs[order], self._need)]
        counts = np.bincount(image[best], minlength=max(self.images, default=0) + 1)
        self.images = {
            index: candidates.first(int(counts[index])) for index, candidates in self.images.items()
        }
        self._kept = int(costs[best].sum())
        if self._kept >= self._need and len(best):
            score = float(scores[best[-1]])
            clipped = bool(last[best[-1]])
            self.thresholds = Thresholds(clipped=score) if clipped else Thresholds(score, math.inf)


def flatten(
    images: dict[int, Candidates],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return image, score, cost and place of all candidates, by image in pool order, then by pick.

    The place is whether a candidate comes after all others because the border clips it.
    """
    indices = sorted(images)
    lengths = [len(images[index]) for index in indices]
    image = np.repeat(np.array(indices, dtype=np.int64), lengths)
    scores = np.concatenate([np.zeros(0), *(images[index].scores for index in indices)])
    costs = np.concatenate(
        [np.zeros(0, dtype=np.int64), *(images[index].costs for index in indices)]
    )
    last = np.concatenate([np.zeros(0, dtype=bool), *(images[index].last for index in indices)])
    return image, scores, costs, last


def _enough(costs: NDArray[np.int64], need: float) -> int:
    if need <= 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(costs), need)) + 1, len(costs))

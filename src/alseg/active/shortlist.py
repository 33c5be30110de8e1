"""The best candidates of many images in bounded memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alseg.config.budget import by_score
from alseg.labels.candidates import ALL_WANTED, Candidates, Thresholds, enough


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

        While regions that come first alone spend what is needed, none that comes last is wanted;
        where they do not, every one that comes first is.
        """
        image, scores, costs, last = flatten(self.images)
        order = by_score(scores, last)
        best = order[: enough(costs[order], self._need)]
        counts = np.bincount(image[best], minlength=max(self.images, default=0) + 1)
        self.images = {
            index: candidates.first(int(counts[index])) for index, candidates in self.images.items()
        }
        self._kept = int(costs[best].sum())
        if self._kept >= self._need and len(best):
            score = float(scores[best[-1]])
            at_last = bool(last[best[-1]])
            self.thresholds = Thresholds(last=score) if at_last else Thresholds(score, math.inf)


def flatten(
    images: dict[int, Candidates],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return image, score, cost and place of all candidates, by image in pool order, then by pick.

    The place is whether a candidate comes after all others.
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

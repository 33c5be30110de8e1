"""The little statistics that a comparison needs; numpy and scipy have the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
UPPER = (1 + LEVEL) / 2
NORMAL = float(stats.norm.ppf(UPPER))


class Interval(NamedTuple):
    """An estimate and its confidence interval of 95 %.

    Attributes:
        estimate: The estimate.
        low: Where the interval begins; NaN if there is too little to tell.
        high: Where it ends.
    """

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the estimate can be told; never where there is no interval."""
        return self.low > 0 or self.high < 0


def mean_of_known(values: Iterable[float | None]) -> float:
    """Return the mean of the values that are known; NaN if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the standard deviation of a sample (n − 1); NaN for one value."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return math.nan, math.nan
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else math.nan


def mean_height(x: ArrayLike, y: ArrayLike, low: float, high: float) -> float:
    """Return the area under a curve of straight lines from ``low`` to ``high``, over its width.

    Args:
        x: Where the curve is known, ascending; its first and last are not within the range.
        y: Its height there.
        low: Where the area begins.
        high: Where it ends, above ``low``.
    """
    at, height = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    corners = np.concatenate([[low], at[(low < at) & (at < high)], [high]])
    return float(np.trapezoid(np.interp(corners, at, height), corners) / (high - low))


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    r"""Return the mean of a few values and a bootstrap interval that is wide enough for so few.

    The percentile interval of resampled means is too narrow for a handful of seeds: it takes the
    spread over n values for that over n − 1, and the normal distribution for Student's. Its ends
    are therefore moved away from the mean by :math:`\sqrt{n/(n-1)}\;t_{n-1}/z`, which makes the
    interval as wide as Student's where the values are normal and keeps its skew (the reasoning of
    Hesterberg, The American Statistician 69, 2015, on expanded percentile intervals). Resampling
    two values gives just three means, whose percentiles are the values themselves; of two the
    interval is Student's.

    Args:
        values: One for each seed; for a paired comparison, the differences.
        seed: Of the resampling, so that a report is the same whenever it is made.

    Returns:
        The interval; NaN at its ends for fewer than two values, and for equal ones, which say
        nothing of how they would spread.
    """
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    if count < 2 or np.ptp(array) < 1e-12:
        return Interval(float(array.mean()) if count else math.nan, math.nan, math.nan)
    mean, student = float(array.mean()), float(stats.t.ppf(UPPER, count - 1))
    if count == 2:
        reach = student * float(array.std(ddof=1)) / math.sqrt(count)
        return Interval(mean, mean - reach, mean + reach)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    low, high = np.quantile(array[drawn].mean(axis=1), [1 - UPPER, UPPER])
    stretch = math.sqrt(count / (count - 1)) * student / NORMAL
    return Interval(mean, mean + stretch * (low - mean), mean + stretch * (high - mean))


def pearson(x: ArrayLike, y: ArrayLike) -> Interval:
    """Return Pearson's correlation with Fisher's interval.

    NaN where a variable is constant; no interval for fewer than four pairs, or for ±1. Pairs with
    a NaN are left out.
    """
    return _correlation(*_pairs(x, y), inflation=1.0)


def spearman(x: ArrayLike, y: ArrayLike) -> Interval:
    """Return Spearman's rank correlation; its interval is Fisher's with the variance 1.06/(n − 3).

    Ties share their mean rank. The variance is that of Fieller, Hartley and Pearson (1957).
    """
    at, height = _pairs(x, y)
    return _correlation(stats.rankdata(at), stats.rankdata(height), inflation=1.06)


def _pairs(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at, height = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    known = np.isfinite(at) & np.isfinite(height)
    return at[known], height[known]


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64], inflation: float) -> Interval:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Interval(math.nan, math.nan, math.nan)
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    # Of a perfect correlation Fisher's interval has no width, whatever the number of pairs.
    if len(x) < 4 or abs(r) > 1 - 1e-12:
        return Interval(r, math.nan, math.nan)
    z = np.arctanh(r)
    reach = NORMAL * math.sqrt(inflation / (len(x) - 3))
    return Interval(r, float(np.tanh(z - reach)), float(np.tanh(z + reach)))

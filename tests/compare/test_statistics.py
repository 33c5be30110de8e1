import itertools
import math

import numpy as np
import pytest
from scipy import stats

from alseg.compare.statistics import (
    bootstrap_mean,
    mean_and_deviation,
    mean_height,
    pearson,
    spearman,
)


def test_the_deviation_is_that_of_a_sample():
    mean, deviation = mean_and_deviation([1.0, 2.0, 6.0])
    # (4 + 1 + 9) / 2 = 7
    assert (mean, deviation) == (3.0, pytest.approx(math.sqrt(7)))


def test_one_value_has_no_deviation():
    mean, deviation = mean_and_deviation([0.4])
    assert mean == 0.4
    assert math.isnan(deviation)


def test_the_mean_height_is_the_area_over_its_width():
    # 2 wide at a mean height of 3, then 2 wide at 4.
    assert mean_height([1, 3, 5], [2, 4, 4], 1, 5) == pytest.approx((2 * 3 + 2 * 4) / 4)
    # From 2, where the curve is at 3: 1 wide at 3.5, then 1 wide at 4.
    assert mean_height([1, 3, 5], [2, 4, 4], 2, 4) == pytest.approx((1 * 3.5 + 1 * 4) / 2)


def test_the_interval_of_two_seeds_is_students():
    values = [0.1, 0.7]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert bootstrap_mean(values) == pytest.approx((0.4, theirs.low, theirs.high))


def test_the_interval_agrees_with_all_resamples_of_four_seeds():
    values = [0.1, 0.4, 0.2, 0.9]
    means = np.array([np.mean(draw) for draw in itertools.product(values, repeat=4)])
    low, high = np.quantile(means, [0.025, 0.975])
    widened = math.sqrt(4 / 3) * 3.182446 / 1.959964
    found = bootstrap_mean(values)
    assert found.estimate == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 + widened * (low - 0.4), abs=0.04)
    assert found.high == pytest.approx(0.4 + widened * (high - 0.4), abs=0.04)


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_the_interval_holds_the_truth_in_nineteen_of_twenty_samples_of_few_seeds(seeds):
    rng = np.random.default_rng(3)
    samples = rng.normal(1.0, 2.0, (1000, seeds))
    intervals = [bootstrap_mean(sample) for sample in samples]
    held = sum(found.low <= 1.0 <= found.high for found in intervals)
    # 950 with a deviation of 7; the percentile interval would hold some 500, 720 and 800.
    assert 930 <= held <= 970


def test_one_seed_tells_nothing():
    found = bootstrap_mean([0.3])
    assert found.estimate == 0.3
    assert math.isnan(found.low)
    assert not found.excludes_zero


def test_correlations_of_a_small_table():
    # By hand: sums of squares 10 and 10, of products 8.
    x, y = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    found = pearson(x, y)
    reach = 1.959964 / math.sqrt(2)
    assert found.estimate == pytest.approx(0.8)
    assert found.low == pytest.approx(math.tanh(math.atanh(0.8) - reach))
    assert found.high == pytest.approx(math.tanh(math.atanh(0.8) + reach))
    # 1 - 6 * 4 / (5 * 24)
    assert spearman(x, y).estimate == pytest.approx(0.8)
    assert spearman(x, [1, 8, 27, 64, 1000]).estimate == pytest.approx(1.0)


def test_correlations_are_scipys():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 40).astype(float)
    y = x + rng.normal(0, 2, 40)
    theirs = stats.pearsonr(x, y)
    assert pearson(x, y).estimate == pytest.approx(theirs.statistic)
    limits = theirs.confidence_interval(0.95)
    assert pearson(x, y)[1:] == pytest.approx((limits.low, limits.high))
    assert spearman(x, y).estimate == pytest.approx(stats.spearmanr(x, y).statistic)


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_what_cannot_be_known_is_left_out_of_a_correlation(correlation):
    assert correlation([1, 2, math.nan, 3], [1, 2, 9, 3]).estimate == pytest.approx(1.0)
    assert math.isnan(correlation([1, 1, 1, 1], [1, 2, 3, 4]).estimate)
    assert math.isnan(correlation([1, 2, 3], [3, 1, 2]).low)

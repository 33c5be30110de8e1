from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alseg.config.budget import Budget, by_deficit, by_score, nearest_prefix
from alseg.errors import BudgetError


@pytest.mark.parametrize(
    ("value", "share", "regions"),
    [
        ("0.01", 0.01, None),
        (0.01, 0.01, None),
        ("1%", 0.01, None),
        (" 2.2 % ", 0.022, None),
        ("1e-3", 0.001, None),
        (".5", 0.5, None),
        (0.999, 0.999, None),
        ("100%", 1.0, None),
        ("40 regions", None, 40),
        ("1 region", None, 1),
        ("40regions", None, 40),
    ],
)
def test_a_budget_is_read_as_a_person_writes_it(value, share, regions):
    budget = Budget.parse(value)
    assert (budget.share, budget.regions_per_image) == (share, regions)
    assert Budget.parse(budget) is budget


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("5", 'Did you mean "5%"'),
        (5, 'Did you mean "5%"'),
        (1, 'Write "100%" or "1%"'),
        ("1", 'Write "100%" or "1%"'),
        (1.0, 'Write "100%" or "1%"'),
        ("1.000", 'Write "100%" or "1%"'),
        ("1e0", 'Write "100%" or "1%"'),
        ("500", 'Did you mean "500 regions" or "500 clicks"'),
        ("101%", "more than every pixel"),
        (0, "source_only"),
        ("0%", "source_only"),
        ("0 regions", "source_only"),
        (-0.1, "not a positive number"),
        ("-3 regions", "not a positive number"),
        ("40 pixels", "unknown unit 'pixels'"),
        ("2.5 regions", "whole"),
        ("nan", "Got the budget 'nan'"),
        ("inf", "Got the budget 'inf'"),
        (float("nan"), "Got the budget nan"),
        (float("inf"), "Got the budget inf"),
        ("1e999", "more than every pixel"),
        ("1e400", "more than every pixel"),
        ("1e400%", "more than every pixel"),
        ("1e400 regions", "Got a budget of 1e+400; allowed are 1 to"),
        ("1e999999999999 regions", "allowed are 1 to 1,000,000,000"),
        ("-1e400 regions", "allowed are 1 to 1,000,000,000"),
        ("1e-400", "asks for no label"),
        ("1e99999999999999999999 regions", "Got the budget"),
        (10**400, "more than 40 digits"),
        ("9" * 20_000, "a budget of 20,000 characters"),
        ("9" * 20_000 + " regions", "a budget of 20,008 characters"),
        ("0." + "0" * 20_000 + "1", "a budget of 20,003 characters"),
        ("1" + " " * 20_000 + "regions", "a budget of 20,008 characters"),
        ("1e" + "9" * 20_000, "a budget of 20,002 characters"),
        ("1_000 regions", "without separators"),
        ("1,000 regions", "without separators"),
        ("1'000 clicks", "without separators"),
        ("1 000 clicks", "without separators"),
        ("1\u202f000 clicks", "without separators"),
        ("0_1%", "without separators"),
        ("\u0661%", "Got the budget"),
        ("\uff11%", "Got the budget"),
        ("\u0661 regions", "Got the budget"),
        ("\u00bd", "Got the budget"),
        ([], "Got the budget []"),
        ({"share": 0.1}, "Got the budget"),
        ("", "Got the budget ''"),
        ("a lot", "Got the budget 'a lot'"),
        ("0,01", "without separators"),
        (True, "Got the budget True"),
        (None, "Got the budget None"),
    ],
)
def test_a_wrong_budget_says_what_is_allowed(value, hint):
    with pytest.raises(BudgetError) as error:
        Budget.parse(value)
    assert hint in str(error.value)


def test_a_number_with_more_digits_than_python_prints_is_refused():
    with pytest.raises(BudgetError, match="more than 40 digits"):
        Budget.parse(-(10**5000))


def test_a_budget_has_exactly_one_meaning():
    for fields in ({}, {"share": 0.1, "regions_per_image": 4}):
        with pytest.raises(BudgetError):
            Budget(**fields)


def test_more_regions_than_an_image_can_have_are_refused_without_a_text_too():
    with pytest.raises(BudgetError, match="allowed are 1 to 1,000,000,000"):
        Budget(regions_per_image=10**400)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01, "1% of the pixels"), ("40 regions", "40 regions per image"), ("1 region", "1 region ")],
)
def test_a_budget_prints_itself(value, text):
    assert text in str(Budget.parse(value))


@given(
    st.one_of(
        st.text(max_size=60),
        st.from_regex(r"[+-]?[0-9_,.eE]{0,50} ?(%|regions?|clicks?)?"),
        st.floats(),
        st.integers(),
    )
)
def test_a_budget_is_read_or_refused_in_a_sentence_and_reads_back(value):
    try:
        budget = Budget.parse(value)
    except BudgetError:
        return
    assert Budget.parse(budget.plain) == budget


@given(
    share=st.integers(1, 1000),
    areas=st.lists(st.integers(256, 10_000_000), min_size=1, max_size=5),
    rounds=st.integers(1, 10),
)
def test_targets_grow_by_equal_shares_of_the_pixels(share, areas, rounds):
    budget = Budget(share=share / 1000)
    for number in range(1, rounds + 1):
        exact = [float(Fraction(share, 1000) * area * number / rounds) for area in areas]
        assert budget.targets(np.array(areas), number, rounds) == pytest.approx(exact, rel=1e-12)


@given(regions=st.integers(1, 500), rounds=st.integers(1, 12))
def test_targets_in_regions_are_whole_even_and_complete(regions, rounds):
    budget = Budget(regions_per_image=regions)
    targets = [int(budget.targets(np.array([256]), r, rounds)[0]) for r in range(rounds + 1)]
    steps = np.diff(targets)
    assert targets[0] == 0
    assert targets[-1] == regions
    assert steps.max() - steps.min() <= 1


@given(st.lists(st.integers(1, 49), max_size=30), st.floats(-20, 600))
def test_no_other_prefix_is_nearer_to_the_target(costs, target):
    sums = np.concatenate([[0], np.cumsum(np.array(costs, dtype=np.int64))])
    taken = nearest_prefix(np.array(costs, dtype=np.int64), target)
    assert taken == np.argmin(np.abs(sums - target))


@given(st.data())
def test_each_candidate_goes_to_the_image_furthest_below_its_target(data):
    per_image = data.draw(
        st.lists(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), max_size=5), max_size=5)
    )
    deficits = np.array([data.draw(st.integers(-5, 30)) for _ in per_image], dtype=np.float64)
    flat = [(i, cost, -score) for i, picks in enumerate(per_image) for cost, score in picks]
    image, costs, scores = np.array(flat, dtype=np.int64).reshape(-1, 3).T

    expected, left, done = [], deficits.copy(), [0] * len(per_image)
    start = np.cumsum([0] + [len(picks) for picks in per_image])
    for _ in flat:
        waiting = [i for i, picks in enumerate(per_image) if done[i] < len(picks)]
        best = max(waiting, key=lambda i: (left[i], -per_image[i][done[i]][1], -i))
        expected.append(start[best] + done[best])
        left[best] -= per_image[best][done[best]][0]
        done[best] += 1

    order = by_deficit(image, scores.astype(np.float64), costs, deficits)
    assert order.tolist() == expected


def test_equal_scores_keep_the_order_of_the_pool():
    assert by_score(np.array([0.5, 0.9, 0.5, 0.9])).tolist() == [1, 3, 0, 2]


@given(
    quotas=st.lists(st.floats(0.01, 40), min_size=1, max_size=12),
    rounds=st.integers(1, 12),
)
def test_remainders_carry_over_so_that_no_image_strays_by_more_than_a_region(quotas, rounds):
    region, quotas = 9, np.array(quotas)
    spent = np.zeros(len(quotas))
    for number in range(1, rounds + 1):
        deficits = quotas * number - spent
        offered = [max(0, int(np.ceil(deficit / region))) for deficit in deficits]
        image = np.repeat(np.arange(len(quotas)), offered)
        costs = np.full(len(image), region)
        order = by_deficit(image, np.zeros(len(image)), costs, deficits)
        chosen = image[order[: nearest_prefix(costs, deficits.sum())]]
        spent += region * np.bincount(chosen, minlength=len(quotas))
        assert abs(spent.sum() - quotas.sum() * number) <= region / 2 + 1e-6
        assert np.abs(spent - quotas * number).max() <= 1.5 * region

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.asked import make_round

from alseg.annotate import deal, measure_agreement
from alseg.annotate.agreement import cohen_kappa, disagreements, fleiss_kappa

FLEISS_1971 = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""
"""Ten things that fourteen people sorted into five categories; Fleiss' kappa is 0.210."""


def test_fleiss_kappa_is_that_of_the_worked_example():
    rows = [[int(times) for times in line.split()] for line in FLEISS_1971.strip().splitlines()]
    things = [[kind for kind, times in enumerate(row) for _ in range(times)] for row in rows]
    assert {len(thing) for thing in things} == {14}
    assert fleiss_kappa(things) == pytest.approx(0.210, abs=0.0005)


def test_cohen_kappa_is_that_of_the_worked_example():
    # 50 proposals: both yes 20, both no 15, only the first yes 5, only the second yes 10.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_kappa_is_zero_at_chance_and_below_when_worse():
    assert cohen_kappa([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0)
    assert cohen_kappa([0, 1], [1, 0]) == pytest.approx(-1)


def test_kappa_is_not_defined_where_all_say_the_same():
    assert cohen_kappa(["road"] * 3, ["road"] * 3) is None
    assert fleiss_kappa([["road"] * 3] * 4) is None


@given(
    st.lists(st.sampled_from([0, 1, "mixed", "skip"]), min_size=2).filter(lambda a: len(set(a)) > 1)
)
def test_kappa_of_full_agreement_is_one(answers):
    assert cohen_kappa(answers, answers) == pytest.approx(1)
    assert fleiss_kappa([[answer] * 3 for answer in answers]) == pytest.approx(1)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1))
def test_cohen_kappa_is_that_of_its_definition(pairs):
    count = len(pairs)
    observed = sum(a == b for a, b in pairs) / count
    expected = sum(
        (sum(a == kind for a, _ in pairs) / count) * (sum(b == kind for _, b in pairs) / count)
        for kind in range(4)
    )
    kappa = cohen_kappa(*zip(*pairs, strict=True))
    if expected > 1 - 1e-12:
        assert kappa is None
    else:
        assert kappa == pytest.approx((observed - expected) / (1 - expected))


@pytest.fixture
def asked(tmp_path):
    return make_round(tmp_path, 10)


def test_agreement_is_measured_on_what_everybody_answered(asked):
    shares = deal(asked, ["anna", "ben"], 0.4)
    one, two, three, _ = shares.overlap
    alone = shares.queries["anna"][1]
    said = {"anna": {one: 1, two: 2, three: 1, alone: 4}, "ben": {one: 1, two: "skip"}}
    agreement = measure_agreement(shares, said)
    assert (agreement.asked, agreement.answered, agreement.equal) == (4, 2, 0.5)
    # Expected by chance: both say 1 half of the time, and nothing else in common.
    assert agreement.kappa == pytest.approx((0.5 - 0.25) / 0.75)
    assert agreement.in_words() == (
        "agreement: Cohen's kappa 0.333; 50.0% of the answers are the same, on 2 of 4 common "
        "queries"
    )


def test_three_people_are_measured_by_fleiss(asked):
    shares = deal(asked, ["anna", "ben", "cleo"], 0.2)
    one, two = shares.overlap
    said = {"anna": {one: 1, two: 2}, "ben": {one: 1, two: 2}, "cleo": {one: 1, two: 1}}
    agreement = measure_agreement(shares, said)
    # P = (1 + 1/3) / 2, P_e = (4/6)² + (2/6)².
    assert agreement.measure == "Fleiss' kappa"
    assert agreement.kappa == pytest.approx((2 / 3 - 5 / 9) / (4 / 9))
    assert agreement.equal == pytest.approx(2 / 3)


def test_one_person_agrees_with_nobody(asked):
    agreement = measure_agreement(deal(asked, ["anna"]), {"anna": {"r001-q000001": 1}})
    assert (agreement.equal, agreement.kappa) == (None, None)


def test_disagreements_are_listed_in_the_order_of_the_round(asked):
    two, five = "r001-q000002", "r001-q000005"
    said = {
        "anna": {five: 1, two: "mixed", f"{two}.2": 1, f"{two}.1": 1, "r001-q000001": 3},
        "ben": {five: "skip", two: "mixed", f"{two}.1": 1, f"{two}.2": 0, "r001-q000001": 3},
        "cleo": {"r001-q000007": 1},
    }
    assert disagreements(asked, said) == {
        f"{two}.2": {"anna": 1, "ben": 0},
        five: {"anna": 1, "ben": "skip"},
    }

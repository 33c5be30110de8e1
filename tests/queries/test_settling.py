import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.asked import make_round

from alseg.queries.answers import REVIEW
from alseg.queries.settling import majority, paint, settle

ONE, TWO, THREE = "r001-q000001", "r001-q000002", "r001-q000003"


@pytest.fixture
def asked(tmp_path):
    return make_round(tmp_path, 3, images=1)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([], (None, False)),
        ([2], (2, False)),
        ([2, 3], (None, True)),
        ([2, 3, 3], (3, False)),
        ([1, 1, 2, 2], (None, True)),
        (["skip", "skip", 4], (4, False)),
        (["skip", "skip"], ("skip", False)),
        (["void", "mixed", "void"], ("void", False)),
    ],
)
def test_most_people_are_right(votes, expected):
    assert majority(votes) == expected


def test_a_correction_counts_more_than_everybody(asked):
    said = {"anna": {ONE: 1}, "ben": {ONE: 1}, "cleo": {ONE: 1}, REVIEW: {ONE: 2}}
    settled = settle(asked, said)
    assert settled.answers == {ONE: 2}
    assert settled.missing == [TWO, THREE]


def test_queries_are_answered_skipped_missing_or_disputed(asked):
    said = {"anna": {ONE: 1, TWO: "skip", THREE: 0}, "ben": {ONE: 1, TWO: "skip", THREE: 2}}
    settled = settle(asked, said)
    assert (settled.answers, settled.skipped) == ({ONE: 1}, {TWO: "skip"})
    assert (settled.missing, settled.disputed) == ([], [THREE])
    assert settled.clicks == {"city/a": 1}


def test_a_mixed_window_is_answered_with_all_of_its_parts(asked):
    parts = {f"{TWO}.{number}": number for number in (1, 2, 3)}
    assert settle(asked, {"anna": {TWO: "mixed", **parts}}).answers == {}
    parts[f"{TWO}.4"] = "void"
    settled = settle(asked, {"anna": {TWO: "mixed", **parts}})
    assert settled.answers == {TWO: "mixed", **parts}
    assert settled.clicks == {"city/a": 5}


def test_parts_without_an_answer_are_named(asked):
    said = {"anna": {ONE: "mixed", TWO: "mixed"}, REVIEW: {f"{ONE}.1": 0, f"{ONE}.3": 0}}
    said["ben"] = {f"{TWO}.{number}": number % 3 for number in (1, 2, 3, 4)}
    said["cleo"] = {f"{TWO}.{number}": 2 for number in (1, 2, 3, 4)}
    settled = settle(asked, said)
    assert settled.open_parts == [f"{ONE}.2", f"{ONE}.4"]
    # The parts of the second are all answered, some of them in two ways.
    assert (settled.missing, settled.disputed) == ([ONE, THREE], [TWO])


def test_parts_of_a_window_that_is_not_mixed_do_not_count(asked):
    said = {"anna": {TWO: "mixed", f"{TWO}.1": 1}, REVIEW: {TWO: 3}}
    assert settle(asked, said).answers == {TWO: 3}


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    """A round of many overlapping windows for each way to split one."""
    return {
        split: make_round(
            tmp_path_factory.mktemp(split), 25, images=2, size=(14, 18), radius=2, split=split
        )
        for split in ("quadrants", "pixels", "drop")
    }


@given(data=st.data(), split=st.sampled_from(["quadrants", "pixels", "drop"]))
def test_labels_are_those_that_a_plain_loop_paints(rounds, data, split):
    asked = rounds[split]
    options = st.sampled_from([None, 0, 1, 4, "void", "mixed"])
    answers = {}
    for query in asked.queries:
        answer = data.draw(options)
        if answer is None:
            continue
        answers[query.id] = answer
        if answer == "mixed":
            values = data.draw(st.permutations([0, 1, 2, 3, "void"]))
            for number, part in enumerate(asked.parts(query)):
                answers[part.id] = values[number % 5]
    expected = [[255] * 18 for _ in range(14)]
    for row in range(14):
        for column in range(18):
            expected[row][column] = value_at(asked, answers, "city/b", row, column)
    assert paint(asked, answers, "city/b", (14, 18)).tolist() == expected


def value_at(asked, answers, image, row, column):
    """What the first window around a pixel that is answered says of it."""

    def holds(box):
        return box.top <= row < box.bottom and box.left <= column < box.right

    for query in asked.queries:
        if query.image == image and holds(query) and query.id in answers:
            inside = [part for part in asked.parts(query) if holds(part)]
            whole = answers[query.id]
            answer = answers[inside[0].id] if whole == "mixed" and inside else whole
            return answer if isinstance(answer, int) else 255
    return 255


def test_what_nobody_answered_stays_unlabelled(asked):
    assert np.all(paint(asked, {}, "city/a", (40, 60)) == 255)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (["skip", "unsure"], ("skip", False)),
        (["skip", "unsure", "unsure"], ("unsure", False)),
        (["skip", "unsure", 1], (1, False)),
        (["unsure", "unsure", 1, "void"], (None, True)),
    ],
)
def test_answers_that_are_not_charged_dispute_nothing(monkeypatch, votes, expected):
    monkeypatch.setattr("alseg.queries.settling.NOT_CHARGED", {"skip", "unsure"})
    assert majority(votes) == expected

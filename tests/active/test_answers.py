import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.asked import make_round

from alseg.active.answers import REVIEW, Entry, Journal, check_answer, latest, people
from alseg.active.settling import majority, paint, settle
from alseg.errors import LabelStoreError

ONE, TWO, THREE = "r001-q000001", "r001-q000002", "r001-q000003"


@pytest.fixture
def asked(tmp_path):
    return make_round(tmp_path, 3, images=1)


def test_entries_are_read_as_they_were_written(asked):
    journal = Journal(asked, "anna")
    entries = [Entry(ONE, 2, 1.25, 1700000000.5), Entry(TWO, "mixed", 0.5, 1700000001.0)]
    journal.append(entries[:1])
    journal.append([entries[1], Entry(ONE, None, 0.0, 1700000002.0)])
    assert journal.entries() == [*entries, Entry(ONE, None, 0.0, 1700000002.0)]
    assert people(asked) == ["anna"]
    assert latest(asked) == {"anna": {TWO: "mixed"}}


@pytest.mark.parametrize("size", [1, 30, 5000])
def test_a_last_line_that_was_cut_short_is_left_out_and_written_over(asked, size):
    journal = Journal(asked, "anna")
    journal.append([Entry(ONE, 1, 0.0, 5.0)])
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b"x" * size)
    assert journal.entries() == [Entry(ONE, 1, 0.0, 5.0)]
    journal.append([Entry(TWO, 0, 0.0, 6.0)])
    assert journal.path.read_bytes().startswith(whole + b'{"query": "r001-q000002"')
    assert [entry.query for entry in journal.entries()] == [ONE, TWO]


def test_a_first_line_that_was_cut_short_is_written_over(asked):
    journal = Journal(asked, "anna")
    journal.append([])
    journal.path.write_bytes(b'{"query": "r0')
    journal.append([Entry(TWO, 0, 0.0, 6.0)])
    assert journal.entries() == [Entry(TWO, 0, 0.0, 6.0)]


def test_a_damaged_line_before_the_last_is_named(asked):
    journal = Journal(asked, "anna")
    journal.append([Entry(ONE, 1), Entry(TWO, 1)])
    lines = journal.path.read_text().splitlines()
    journal.path.write_text(f"{lines[0]}\nscribble\n{lines[1]}\n")
    with pytest.raises(LabelStoreError, match=r"Line 2 of .*anna\.jsonl is no answer"):
        journal.entries()


def test_an_answer_that_cannot_be_written_leaves_the_file_as_it_was(asked, monkeypatch):
    journal = Journal(asked, "anna")
    journal.append([Entry(ONE, 1)])
    before = journal.path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LabelStoreError, match="cannot be written.*No space left"):
        journal.append([Entry(TWO, 1)])
    assert journal.path.read_bytes() == before


FULL = """
import resource, signal, sys
from pathlib import Path
from alseg.active.answers import Entry, Journal
from alseg.active.asked_files import open_round
from alseg.errors import LabelStoreError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(open_round(Path(sys.argv[1]), 1), "anna")
journal.append([Entry("r001-q000001", 1)])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + int(sys.argv[2]), hard))
try:
    journal.append([Entry("r001-q000002", number % 5) for number in range(int(sys.argv[3]))])
except LabelStoreError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(error)
"""
"""A process that writes answers until its files may not grow any more."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(("room", "count"), [(0, 1), (40, 20), (500, 20), (9_000, 200)])
def test_answers_that_a_full_disk_takes_in_part_leave_no_line(asked, tmp_path, room, count):
    program = [sys.executable, "-c", FULL, str(tmp_path), str(room), str(count)]
    run = subprocess.run(program, capture_output=True, text=True)
    assert "File too large. Free some space" in run.stdout, run.stderr
    assert [entry.query for entry in Journal(asked, "anna").entries()] == [ONE]
    assert Journal(asked, "anna").path.read_bytes().count(b"\n") == 1
    assert Journal(asked, "anna").path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("name", ["", "../anna", "a/b", ".hidden", "a" * 41, "anna.jsonl", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(asked, name):
    with pytest.raises(LabelStoreError, match="cannot be used"):
        Journal(asked, name)


def test_a_file_that_is_nobodys_is_named(asked):
    Journal(asked, "ben").append([Entry(ONE, 1)])
    stray = asked.folder / "answers/ben backup.jsonl"
    stray.write_bytes(Journal(asked, "ben").path.read_bytes())
    with pytest.raises(LabelStoreError, match=r"/answers/ben backup\.jsonl is in .*Move it out of"):
        latest(asked)
    stray.unlink()
    assert latest(asked) == {"ben": {ONE: 1}}


@pytest.mark.parametrize("answer", [-1, 5, True, 1.0, "road", None, [], "0"])
def test_an_answer_that_is_not_allowed_is_refused(asked, answer):
    with pytest.raises(LabelStoreError, match="neither a class number from 0 to 4 nor one of"):
        check_answer(asked, ONE, answer)


@pytest.mark.parametrize("query", ["r001-q000004", f"{TWO}.5", "", "../etc"])
def test_an_answer_to_what_was_not_asked_is_refused(asked, query):
    with pytest.raises(LabelStoreError, match="has no query"):
        check_answer(asked, query, 0)


@pytest.mark.parametrize("answer", [0, 4, "mixed", "void", "skip"])
def test_allowed_answers_pass(asked, answer):
    check_answer(asked, f"{TWO}.4", answer)


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
    assert (settled.answers, settled.skipped) == ({ONE: 1}, [TWO])
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

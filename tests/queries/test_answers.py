import fcntl
import subprocess
import sys
from threading import Event, Thread

import pytest
from tests.helpers.asked import make_round

from alseg.errors import LabelStoreError
from alseg.queries.answers import Entry, Journal, check_answer, latest, people

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


APPENDING = """
import os, sys
from pathlib import Path
from alseg.queries.answers import Entry, Journal
from alseg.queries.asked_files import open_round

os.fsync = lambda descriptor: None
journal = Journal(open_round(Path(sys.argv[1]), 1), "anna")
print("ready", flush=True)
sys.stdin.readline()
for number in range(1_500):
    journal.append([Entry("r001-q000001", number % 5, 0.0, float(sys.argv[2]) + number)])
"""
"""A process that writes 1,500 answers, once it is given a line."""


def test_two_processes_that_append_at_once_lose_nothing(asked, tmp_path):
    # Less than a line: what a killed process left is cut off once, and nothing else ever is.
    Journal(asked, "anna").path.write_bytes(b'{"query": "r0')
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(tmp_path), start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for start in ("10000", "20000")
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60) and process.returncode for process in processes] == [
        *(0, 0)
    ]
    times = [entry.time for entry in Journal(asked, "anna").entries()]
    assert sorted(times) == [*map(float, range(10_000, 11_500)), *map(float, range(20_000, 21_500))]


def test_a_line_that_another_process_is_writing_is_waited_for(asked, monkeypatch):
    journal = Journal(asked, "anna")
    journal.append([Entry(ONE, 1, 0.0, 5.0)])
    line, asks = journal.path.read_bytes(), Event()
    real = fcntl.flock

    def flock(descriptor, how):
        asks.set()
        real(descriptor, how)

    with journal.path.open("ab", buffering=0) as file:
        real(file, fcntl.LOCK_EX)
        file.write(line[:20])
        monkeypatch.setattr("fcntl.flock", flock)
        other = Thread(target=journal.append, args=([Entry(TWO, 2)],))
        other.start()
        assert asks.wait(20)
        file.write(line[20:])
    other.join(20)
    assert [entry.query for entry in journal.entries()] == [ONE, ONE, TWO]


def test_what_was_appended_by_another_is_not_cut_off_where_the_disk_is_full(asked, monkeypatch):
    journal, other = Journal(asked, "anna"), Journal(asked, "anna")
    other.append([Entry(ONE, 1)])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(LabelStoreError, match="No space left"):
            journal.append([Entry(TWO, 1)])
    other.append([Entry(THREE, 2)])
    assert [entry.query for entry in journal.entries()] == [ONE, THREE]


FULL = """
import resource, signal, sys
from pathlib import Path
from alseg.queries.answers import Entry, Journal
from alseg.queries.asked_files import open_round
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

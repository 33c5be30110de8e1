import os
import shutil
from threading import Event, Thread

import pytest
from tests.helpers.asked import journal as written
from tests.helpers.asked import make_round

from alseg.errors import LabelStoreError
from alseg.queries.answers import Entry, Journal
from alseg.queries.answers_folder import AnswersFolder, Stopped

ONE, TWO = "r001-q000001", "r001-q000002"


@pytest.fixture
def asked(tmp_path):
    return make_round(tmp_path / "run")


def remove(run):
    shutil.rmtree(run)


def move(run):
    run.rename(run.with_name("elsewhere"))


def replace(run):
    move(run)
    (run / "queries/round-001/answers").mkdir(parents=True)


def remove_and_make_again(run):
    remove(run)
    (run / "queries/round-001/answers").mkdir(parents=True)


def replace_by_a_copy(run):
    move(run)
    shutil.copytree(run.with_name("elsewhere"), run)


def empty(run):
    shutil.rmtree(run / "queries/round-001/answers")


def link_out(run):
    answers = run / "queries/round-001/answers"
    answers.rename(run.with_name("answers"))
    answers.symlink_to(run.with_name("answers"))


@pytest.mark.parametrize(
    "change",
    [remove, move, replace, remove_and_make_again, replace_by_a_copy, empty, link_out],
)
def test_nothing_is_written_to_a_folder_that_is_another_one(asked, tmp_path, change):
    journal = Journal(asked, "anna")
    journal.append([Entry(ONE, 1)])
    change(tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(LabelStoreError, match="is gone or another one.*not written"):
        journal.append([Entry(TWO, 1)])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_that_is_put_back_takes_answers_again(asked, tmp_path):
    journal = Journal(asked, "anna")
    move(tmp_path / "run")
    with pytest.raises(LabelStoreError):
        journal.append([Entry(ONE, 1)])
    (tmp_path / "elsewhere").rename(tmp_path / "run")
    journal.append([Entry(TWO, 2)])
    assert written(asked, "anna") == [(TWO, 2)]


def test_a_run_that_is_moved_and_linked_under_its_old_name_takes_answers(asked, tmp_path):
    journal = Journal(asked, "anna")
    move(tmp_path / "run")
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    journal.append([Entry(ONE, 1)])
    assert written(asked, "anna") == [(ONE, 1)]


def test_nothing_is_written_once_the_lock_is_another_one(asked):
    lock = AnswersFolder(asked.folder).path / ".lock"
    lock.touch()
    journal = Journal(asked, "anna")
    journal.append([Entry(ONE, 1)])
    lock.unlink()
    with pytest.raises(LabelStoreError, match=r"\.lock is gone or another one"):
        journal.append([Entry(TWO, 1)])
    assert written(asked, "anna") == [(ONE, 1)]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_answers_are_written_to_ordinary_files_alone(asked, tmp_path, kind):
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    journal = Journal(asked, "anna")
    if kind == "link":
        journal.path.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(journal.path)
    else:
        journal.path.mkdir()
    with pytest.raises(LabelStoreError, match="cannot be written to"):
        journal.append([Entry(ONE, 1)])
    with pytest.raises(LabelStoreError, match="no ordinary file"):
        journal.entries()
    assert outside.read_text() == "mine\n"


@pytest.mark.parametrize("kind", ["link", "file"])
def test_the_folder_of_the_answers_is_a_folder(asked, tmp_path, kind):
    answers = asked.folder / "answers"
    if kind == "link":
        answers.symlink_to(tmp_path)
    else:
        answers.touch()
    with pytest.raises(LabelStoreError, match="it is a link or a file"):
        Journal(asked, "anna").append([Entry(ONE, 1)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_the_end_waits_for_what_is_being_written_and_lets_nothing_more_in(asked, monkeypatch):
    folder = AnswersFolder(asked.folder)
    writing, go_on, ended = Event(), Event(), Event()

    def slow(descriptor):
        writing.set()
        assert go_on.wait(20)

    monkeypatch.setattr("os.fsync", slow)
    journal = Journal(asked, "anna", folder)
    writer = Thread(target=journal.append, args=([Entry(ONE, 1)],))
    writer.start()
    assert writing.wait(20)
    ender = Thread(target=lambda: (folder.end(), ended.set()))
    ender.start()
    while True:
        # The end has begun once nothing more is let in; what is being written holds it up.
        try:
            with folder.writing():
                pass
        except Stopped:
            break
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(20)
    assert written(asked, "anna") == [(ONE, 1)]
    with pytest.raises(Stopped, match="Start it again"):
        Journal(asked, "ben", folder).append([Entry(TWO, 1)])
    assert not (folder.path / "ben.jsonl").exists()
    for thread in (writer, ender):
        thread.join(20)

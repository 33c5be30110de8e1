"""The end of a server: nothing is written afterwards, and nothing holds it up."""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from threading import Event, Thread

import pytest
from tests.helpers.asked import journal, make_round
from tests.helpers.served import serve

from alseg.annotate import Table, open_shares
from alseg.errors import FolderInUse
from alseg.queries.answers_folder import Stopped, lock_answers
from alseg.queries.asked import AskedRound

ONE = "r001-q000001"


@pytest.fixture
def hanging(monkeypatch):
    """A disk that does not answer: reading an image begins, and ends once the event is set."""
    begun, go_on = Event(), Event()

    def pixels_of(self, image):
        begun.set()
        assert go_on.wait(60)
        raise OSError("the disk is gone")

    monkeypatch.setattr(AskedRound, "pixels_of", pixels_of)
    yield begun
    go_on.set()


def test_a_picture_that_is_never_read_holds_up_nothing(tmp_path, hanging):
    asked = make_round(tmp_path)
    with ThreadPoolExecutor(2) as pool, serve(asked) as client:
        waiting = pool.submit(client.request, "GET", "/image/0")
        assert hanging.wait(20)
        assert client.answer(ONE, 1)[0] == 200
        client.server.shutdown()
        client.server.server_close()
        status, _, body = waiting.result(20)
    assert (status, "Start it again" in json.loads(body)["error"]) == (503, True)
    assert journal(asked) == [(ONE, 1)]


HANGING = """
import sys, threading
from alseg.queries.answers_folder import Stopped
from alseg.queries.asked import AskedRound
from alseg.cli.main import main

AskedRound.pixels_of = lambda self, name: threading.Event().wait()
sys.exit(main(["annotate", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_process_ends_while_pictures_are_never_read(tmp_path, start, how):
    make_round(tmp_path)
    command = start(tmp_path, program=HANGING)
    client = command.client()
    with client.connect() as connection:
        head = f"GET /image/0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}"
        connection.sendall(f"{head}\r\n\r\n".encode())
        # The pictures of what is ahead are begun, too.
        assert client.answer(ONE, 1)[0] == 200
        assert command.stop(how) == 0
        assert b"HTTP/1.1 503 " in connection.makefile("rb").readline()
    assert command.lines[-1].startswith("Stopped; every answer is kept")


BLOCKED = """
import os, sys, threading
from alseg.cli.main import main

def fsync(descriptor):
    if os.path.exists("block"):
        threading.Event().wait()

os.fsync = fsync
sys.exit(main(["annotate", *sys.argv[1:]]))
"""


def is_gone(client):
    """Whether nobody listens any more."""
    try:
        client.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_second_signal_kills_where_a_write_never_ends(tmp_path, monkeypatch, start):
    monkeypatch.chdir(tmp_path)
    asked = make_round(tmp_path)
    command = start(tmp_path, program=BLOCKED)
    client = command.client()
    assert client.answer(ONE, 1)[0] == 200
    (tmp_path / "block").touch()
    with ThreadPoolExecutor(1) as pool:
        posting = pool.submit(client.answer, "r001-q000002", 1)
        while len(journal(asked)) < 2:
            assert not posting.done()
        command.process.send_signal(signal.SIGINT)
        assert any(is_gone(client) for _ in range(100_000))
        # It waits for what is being written, and has the lock as long as it lives.
        with pytest.raises(FolderInUse), lock_answers(asked):
            pass
        assert command.stop() == -signal.SIGINT
        with pytest.raises((OSError, HTTPException)):
            posting.result(20)
    with lock_answers(asked):
        pass


def test_an_answer_after_the_end_is_not_written(tmp_path, caplog):
    asked = make_round(tmp_path)
    with serve(asked) as client, client.connect() as before:
        table = client.server.table
        head = f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}\r\n"
        before.sendall(f"GET /api/round {head}\r\n".encode())
        assert before.recv(1) == b"H"
        client.server.connections.refuse()
        status, content = client.answer(ONE, 1)
        assert (status, "Start it again" in content["error"]) == (503, True)
        client.server.shutdown()
        client.server.server_close()
        with suppress(ConnectionError):
            before.sendall(f"GET /api/round {head}\r\n".encode())
            assert before.makefile("rb").read().count(b"HTTP/1.1") == 0
    with pytest.raises(Stopped):
        table.answer("annotator-1", ONE, 0, 1, 1.0)
    assert not (asked.folder / "answers/annotator-1.jsonl").exists()
    assert caplog.records == []


def test_an_answer_that_is_being_written_at_the_end_is_written_and_confirmed(tmp_path, monkeypatch):
    asked = make_round(tmp_path)
    writing, go_on, closed = Event(), Event(), Event()

    def slow(descriptor):
        writing.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(2) as pool, serve(asked) as client:
        monkeypatch.setattr("os.fsync", slow)
        answer = pool.submit(client.answer, ONE, 1)
        assert writing.wait(20)
        client.server.shutdown()
        ender = Thread(target=lambda: (client.server.server_close(), closed.set()))
        ender.start()
        assert not closed.is_set()
        go_on.set()
        assert closed.wait(20)
        assert answer.result(20)[0] == 200
        ender.join(20)
    assert journal(asked) == [(ONE, 1)]


def test_of_posts_at_the_end_each_is_written_and_confirmed_or_neither(tmp_path, start):
    asked = make_round(tmp_path, 400)
    errors = tmp_path / "errors"
    command = start(tmp_path, before=("sh", "-c", f'exec "$0" "$@" 2>"{errors}"'))
    client = command.client()
    seen = Event()

    def post(queries):
        """Answer one query after the other until the server is gone; the replies by query."""
        replies = {}
        for query in queries:
            try:
                replies[query.id] = client.answer(query.id, 1)[0]
            except (OSError, HTTPException):
                replies[query.id] = None
                break
            if len(replies) == 5:
                seen.set()
        return replies

    with ThreadPoolExecutor(4) as pool:
        posting = [pool.submit(post, asked.queries[number::4]) for number in range(4)]
        assert seen.wait(20)
        assert command.stop() == 0
        kept = {name for name, _ in journal(asked)}
        replies = [reply for one in posting for reply in one.result(60).items()]
    assert {name for name, _ in journal(asked)} == kept
    assert {status for _, status in replies} <= {200, 503, None}
    assert {name for name, status in replies if status == 200} <= kept
    assert kept.isdisjoint(name for name, status in replies if status == 503)
    assert errors.read_text() == ""


def test_the_lock_goes_once_nothing_can_be_written(tmp_path):
    asked = make_round(tmp_path)
    with lock_answers(asked):
        with serve(asked) as client:
            assert client.answer(ONE, 1)[0] == 200
            table = client.server.table
        # Still locked, and closed already.
        with pytest.raises(Stopped):
            table.answer("annotator-1", ONE, 1, 2, 1.0)
    with lock_answers(asked):
        again = Table(asked, open_shares(asked))
        assert again.desks["annotator-1"].said == {ONE: 1}


def test_a_run_that_is_moved_while_it_is_served_is_noticed(tmp_path, start):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    asked = make_round(run)
    client = start(run).client()
    assert client.answer(ONE, 1)[0] == 200
    run.rename(elsewhere)
    for _ in range(2):
        status, content = client.answer("r001-q000002", 1)
        assert status == 507
        assert "is gone or another one: the run was moved" in content["error"]
    assert not run.exists()
    (run / "queries/round-001/answers").mkdir(parents=True)
    # Its labels are written, as far as the folder under its name says.
    (run / "labels/round-001").mkdir(parents=True)
    assert client.answer("r001-q000002", 1)[0] == 507
    assert list((run / "queries/round-001/answers").iterdir()) == []
    shutil.rmtree(run)
    elsewhere.rename(run)
    # The page sends its answer again until it arrives.
    assert client.answer("r001-q000002", 1)[0] == 200
    assert journal(asked) == [(ONE, 1), ("r001-q000002", 1)]

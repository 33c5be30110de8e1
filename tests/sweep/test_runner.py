"""Jobs here are tiny shell scripts: what is tested is when they are run, and what comes of it."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from alseg.sweep.runner import Job, last_lines, run_jobs


class Told:
    """Writes down what the runner tells."""

    def __init__(self):
        self.begun, self.codes = [], {}

    def started(self, job):
        self.begun.append(job.name)

    def ended(self, end):
        self.codes[end.job.name] = end.code


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def job(tmp_path):
    def make(name, script, after=None):
        return Job(name, ("/bin/sh", "-c", script), tmp_path / "logs" / f"{name}.log", after)

    return make


@pytest.fixture
def ctrl_c():
    """Take SIGINT as at a terminal: where the tests run in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_jobs_are_run_in_their_order_with_the_environment_of_their_place(job, told, tmp_path):
    jobs = [job(name, 'echo "on $CUDA_VISIBLE_DEVICES"') for name in "abc"]
    run_jobs(jobs, [{"CUDA_VISIBLE_DEVICES": "7"}], told.started, told.ended)
    assert told.begun == ["a", "b", "c"]
    assert told.codes == {"a": 0, "b": 0, "c": 0}
    assert [last_lines(one.log, 2) for one in jobs] == [["on 7"]] * 3


def test_a_failure_keeps_back_those_that_need_it_and_no_other(job, told):
    jobs = [
        job("start", "echo out of memory >&2; exit 3"),
        job("needs it", "exit 0", after="start"),
        job("needs that", "exit 0", after="needs it"),
        job("other", "exit 0"),
    ]
    run_jobs(jobs, [{}], told.started, told.ended)
    assert told.begun == ["start", "other"]
    assert told.codes == {"start": 3, "needs it": None, "needs that": None, "other": 0}
    assert last_lines(jobs[0].log, 5) == ["out of memory"]


def test_a_job_waits_for_the_one_it_needs_though_a_place_is_free(job, told, tmp_path):
    made = tmp_path / "made"
    jobs = [
        job("start", f"sleep 0.5; touch {made}"),
        job("needs it", f"test -e {made}", after="start"),
        job("other", "exit 0"),
    ]
    run_jobs(jobs, [{}, {}], told.started, told.ended)
    assert told.begun == ["start", "other", "needs it"]
    assert told.codes["needs it"] == 0


def test_as_many_run_at_a_time_as_there_are_places_each_in_its_own(job, told, tmp_path):
    # Each marks its place while it runs, and fails where another is in it; it waits until the
    # places are full or, for the last of an odd number, for a while.
    here = tmp_path / "places"
    here.mkdir()
    script = (
        f"mkdir {here}/$PLACE || exit 9; n=0; "
        f"while [ $(ls {here} | wc -l) -lt 2 ] && [ $n -lt 40 ]; do sleep 0.1; n=$((n+1)); done; "
        f"ls {here} | wc -l; sleep 0.5; rmdir {here}/$PLACE"
    )
    jobs = [job(str(number), script) for number in range(4)]
    run_jobs(jobs, [{"PLACE": "0"}, {"PLACE": "1"}], told.started, told.ended)
    assert set(told.codes.values()) == {0}
    assert last_lines(jobs[0].log, 1) == ["2"]


def test_a_killed_job_is_told_by_its_signal(job, told):
    run_jobs([job("a", "kill -9 $$")], [{}], told.started, told.ended)
    assert told.codes == {"a": -signal.SIGKILL}


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_ends_what_runs_and_waits_for_it(job, told, tmp_path, number):
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    program = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "try:\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        "    time.sleep(60)\n"
        "except SystemExit:\n"
        "    time.sleep(0.3)\n"
        f"    pathlib.Path({str(saved)!r}).touch()\n"
    )
    running = Job("a", (sys.executable, "-c", program), tmp_path / "a.log")

    def stop():
        while not ready.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([running, job("b", "exit 0")], [{}], told.started, told.ended)
    thread.join()
    assert saved.exists()
    assert told.begun == ["a"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.usefixtures("ctrl_c")
def test_what_does_not_end_when_asked_to_is_killed_with_all_it_started(
    job, told, tmp_path, monkeypatch
):
    monkeypatch.setattr("alseg.sweep.runner.GRACE_SECONDS", 0.5)
    pid = tmp_path / "pid"
    stubborn = job("a", f"trap '' TERM; sleep 60 & echo $! > {pid}.part; mv {pid}.part {pid}; wait")

    def stop():
        while not pid.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([stubborn], [{}], told.started, told.ended)
    thread.join()
    state = Path(f"/proc/{int(pid.read_text())}/stat")
    end = time.monotonic() + 10
    while time.monotonic() < end and _runs(state):
        time.sleep(0.05)
    assert not _runs(state)


def _runs(state):
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_last_words_leave_progress_bars_and_empty_lines_out(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\n 10 %\r 20 %\rdone\n\nlast \xff\n")
    assert last_lines(log, 9) == ["first", "done", "last �"]
    assert last_lines(log, 2) == ["done", "last �"]
    assert last_lines(tmp_path / "none", 2) == []


def test_the_last_words_are_those_of_the_last_attempt(job, told):
    for script in ("echo first; exit 1", "exit 2"):
        one = job("a", script)
        run_jobs([one], [{}], told.started, told.ended)
    assert one.log.read_text().count("==== 2") == 2
    assert last_lines(one.log, 5) == []

"""Commands that are run as processes, so many at a time, each after what it needs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

LOOK_SECONDS = 0.2
"""How often it is looked whether a process has ended."""

GRACE_SECONDS = 20.0
"""How long a process has to end when it is asked to; then it is killed, which a run survives."""

BEGUN = "==== "
"""Stands in a log before the time and the command of each attempt."""

STOPPING = ("SIGTERM", "SIGHUP")
"""Signals on which the processes are stopped too, since nobody would be left to do it."""


@dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        name: What it is called in reports.
        command: The program and its arguments.
        log: The file that takes what it says, after what is there already.
        after: The name of the job that has to succeed before; None if it needs none.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    after: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        job: The job.
        code: The exit status of its process; None if it was not started.
        seconds: How long it ran.
    """

    job: Job
    code: int | None
    seconds: float = 0.0


@dataclass
class _Running:
    job: Job
    place: int
    process: subprocess.Popen[bytes]
    started: float


def run_jobs(
    jobs: Sequence[Job],
    places: Sequence[Mapping[str, str]],
    started: Callable[[Job], None],
    ended: Callable[[Ended], None],
) -> None:
    """Run every job once: in their order, as many at a time as there are places.

    A job that fails keeps back those that need it, and no other. Whatever leaves this function
    early, a KeyboardInterrupt or a signal to stop, ends the processes and waits for them.

    Args:
        jobs: The jobs; one that needs another comes after it.
        places: The environment variables that are set for the job in each place.
        started: Called when a job begins.
        ended: Called when a job has ended, or is kept back.

    Raises:
        KeyboardInterrupt: The work was stopped, and no process is left.
        OSError: A process cannot be started, or a log cannot be written.
    """
    waiting, running = list(jobs), list[_Running]()
    unfinished = {job.name for job in jobs}
    lost: set[str] = set()
    with _stopped_by_signals():
        try:
            while waiting or running:
                for job in [job for job in waiting if job.after in lost]:
                    waiting.remove(job)
                    lost.add(job.name)
                    ended(Ended(job, None))
                free = sorted(set(range(len(places))) - {one.place for one in running})
                ready = [job for job in waiting if job.after not in unfinished]
                for place, job in zip(free, ready, strict=False):
                    waiting.remove(job)
                    running.append(_start(job, place, places[place]))
                    started(job)
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    code = one.process.returncode
                    if code:
                        lost.add(one.job.name)
                    else:
                        unfinished.discard(one.job.name)
                    ended(Ended(one.job, code, time.monotonic() - one.started))
                if running:
                    time.sleep(LOOK_SECONDS)
        finally:
            _stop(running)


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log that say something, of the last attempt."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    said = f"\n{text}".rpartition(f"\n{BEGUN}")[2].partition("\n")[2]
    # A progress bar overwrites its line again and again.
    lines = [line.rstrip().rpartition("\r")[2] for line in said.split("\n")]
    return [line for line in lines if line][-count:]


def _start(job: Job, place: int, variables: Mapping[str, str]) -> _Running:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        now, command = time.strftime("%Y-%m-%d %H:%M:%S %z"), shlex.join(job.command)
        log.write(f"\n{BEGUN}{now}  {command}\n".encode())
        log.flush()
        process = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            # Ctrl-C at the terminal would reach it a first time before it is stopped from here.
            start_new_session=True,
        )
    return _Running(job, place, process, time.monotonic())


def _stop(running: Sequence[_Running]) -> None:
    """Ask processes to end, wait, and kill what is left with all that it started."""
    try:
        for one in running:
            # Not Ctrl-C's signal: below a shell script's background job that one is ignored.
            one.process.terminate()
        end = time.monotonic() + GRACE_SECONDS
        for one in running:
            one.process.wait(max(0.0, end - time.monotonic()))
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for one in running:
            if one.process.poll() is None:
                # It leads a group of its own.
                os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Take the signals that end a process for Ctrl-C, unless they are ignored (`nohup`)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

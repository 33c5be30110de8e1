"""Processes that start at once, because a server that has imported everything forks them.

Several of them are the ranks of one run, in the environment that a launcher gives its workers.
"""

import faulthandler
import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path

LAUNCHERS = {
    "torchrun": lambda rank, ranks: {
        "RANK": rank,
        "WORLD_SIZE": ranks,
        "LOCAL_RANK": rank,
        "LOCAL_WORLD_SIZE": ranks,
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "tests",
    },
    "slurm": lambda rank, ranks: {
        "SLURM_PROCID": rank,
        "SLURM_NTASKS": ranks,
        "SLURM_STEP_NUM_TASKS": ranks,
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": rank,
        "SLURM_NNODES": ranks,
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "tests",
        "SLURM_NODELIST": "127.0.0.1",
    },
}
"""What a launcher tells a rank, by its number and how many there are."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.helpers.processes", "alseg.cli.fit", "alseg.runs.fit"])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Ranks:
    """The ranks of one run.

    Attributes:
        processes: One a rank.
        logs: Where each writes what it says.
    """

    def __init__(self, target, *arguments, ranks, folder, launcher="torchrun"):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        started = len(list(folder.glob("start-*")))
        (folder / f"start-{started}").touch()
        self.logs = [folder / f"rank-{rank}-{started}.log" for rank in range(ranks)]
        port = free_port()
        self.processes = [
            _context.Process(
                target=_rank,
                args=(target, arguments, rank, ranks, port, launcher, self.logs[rank]),
            )
            for rank in range(ranks)
        ]
        for process in self.processes:
            process.start()

    def wait(self, seconds=150):
        """Return the exit code of every rank; one that hangs says where, and the test fails."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0, end - time.monotonic()))
        alive = [process for process in self.processes if process.is_alive()]
        for process in alive:
            os.kill(process.pid, signal.SIGABRT)
            process.join(10)
            process.kill()
        assert not alive, f"{len(alive)} ranks hang:\n{self.said()}"
        return [process.exitcode for process in self.processes]

    def said(self):
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in self.logs if log.exists())


def run_ranks(target, *arguments, ranks, folder, launcher="torchrun"):
    """Run a function of a module in every rank to its end, which must be a good one."""
    started = Ranks(target, *arguments, ranks=ranks, folder=folder, launcher=launcher)
    codes = started.wait()
    assert codes == [0] * ranks, started.said()
    return started


def alseg(*arguments):
    """Be the command, for a process that is started here."""
    from alseg.cli.main import main

    sys.exit(main([str(argument) for argument in arguments]))


def _rank(target, arguments, rank, ranks, port, launcher, log):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    faulthandler.enable(file=sys.stderr, all_threads=True)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(LAUNCHERS[launcher](str(rank), str(ranks)) if ranks > 1 else {})
    import torch

    torch.set_num_threads(1)
    target(*arguments)

"""Loading processes that are killed: one sentence instead of a traceback."""

import os
import re
import signal
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from alseg.data.workers import killed_in_words


class Killed(Dataset):
    """Ends the process that loads it, as the system does where memory runs out."""

    def __init__(self, by):
        self.by = by

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), self.by)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (signal.SIGKILL, "was killed.*memory ran out.*--workers"),
        (signal.SIGBUS, "(shared memory|was killed).*--workers"),
        (signal.SIGTERM, "was killed"),
    ],
)
def test_what_pytorch_raises_is_said_in_words(by, words):
    with pytest.raises(RuntimeError, match="DataLoader worker") as error:
        list(DataLoader(Killed(by), num_workers=1))
    said = killed_in_words(error.value)
    assert said is not None
    assert re.search(words, said)
    assert "\n" not in said


def test_shared_memory_that_ran_out_is_told_from_memory():
    error = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible")
    assert "/dev/shm" in killed_in_words(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), ValueError("DataLoader worker (pid 7) exited")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert killed_in_words(error) is None


SCRIPT = """
import os
import subprocess
from torch.utils.data import DataLoader
from alseg.data.workers import one_thread

class Where:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return os.getpid()

batches = iter(DataLoader(Where(), num_workers=1, worker_init_fn=one_thread, prefetch_factor=1))
for _ in range(3):
    pid = int(next(batches))
    subprocess.run(["kill", "-TERM", str(pid)], check=True)
    subprocess.run(["kill", "-INT", str(pid)], check=True)
print("loaded", pid != os.getpid())
"""


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="no such call on this system")
def test_a_loading_process_ends_with_its_parent_and_by_no_other_signal():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "loaded True\n"), done.stderr

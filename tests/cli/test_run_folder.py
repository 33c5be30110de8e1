import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from alseg.cli.peak_memory import peak_memory
from alseg.cli.run_folder import RunFolder
from alseg.config import RunConfig
from alseg.errors import AnswersNeeded


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(RunConfig()):
        pass
    return folder


def test_a_run_that_is_kept_on_wandb_can_be_opened_again(folder):
    folder.summary["wandb_id"] = "12ab34cd"
    folder.record(before={"mIoU": 0.5})
    assert RunFolder.open(folder.path).summary["wandb_id"] == "12ab34cd"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_the_peak_of_the_process_is_the_one_that_the_system_tells():
    status = Path("/proc/self/status").read_text()
    kibibytes = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    assert peak_memory()["process"] == pytest.approx(kibibytes / 1024, rel=0.02)


def test_a_phase_keeps_the_highest_peak_of_all_its_parts(folder, monkeypatch):
    held = iter([300 * 2**20, 200 * 2**20])
    reset = []
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        reset_peak_memory_stats=lambda: reset.append(True),
        max_memory_allocated=lambda: next(held),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    for _ in range(2):
        with folder.phase("training"):
            pass
    assert len(reset) == 2
    known = RunFolder.open(folder.path).summary
    assert known["peak_memory_of_gpu_mib"] == {"training": 300.0}
    assert known["peak_memory_of_process_mib"].keys() == known["seconds"].keys() == {"training"}


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("alseg.cli.run_folder.time.perf_counter", lambda: clock.now)
    return clock


def seconds(folder):
    return RunFolder.open(folder.path).summary.get("seconds")


def test_the_seconds_of_what_a_phase_holds_are_told_apart(folder, clock):
    within = {"asking for labels": 0.0}
    with folder.phase("training", within):
        clock.now = 10.0
        within["asking for labels"] = 4.0
        folder.book()
        assert seconds(folder) == {"training": 6.0, "asking for labels": 4.0}
        clock.now = 15.0
    assert seconds(folder) == {"training": 11.0, "asking for labels": 4.0}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_seconds_after_the_last_checkpoint_are_lost_with_the_work(folder, clock, error):
    def train():
        with folder.phase("training"):
            clock.now = 10.0
            folder.book()
            clock.now = 17.0
            raise error

    with pytest.raises(error):
        train()
    assert seconds(folder) == {"training": 10.0}
    with folder.phase("training"):
        clock.now = 20.0
    assert seconds(folder) == {"training": 13.0}


def test_a_run_that_waits_for_people_has_done_its_work(folder, clock):
    def train():
        with folder.phase("training"):
            clock.now = 3.0
            raise AnswersNeeded("Answer them.")

    with pytest.raises(AnswersNeeded):
        train()
    assert seconds(folder) == {"training": 3.0}


def test_a_checkpoint_outside_of_a_phase_books_nothing(folder):
    folder.book()
    assert seconds(folder) is None

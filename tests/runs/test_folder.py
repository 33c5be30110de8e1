import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.helpers.toys import TINY

from alseg.cli.main import main
from alseg.config.run import RunConfig
from alseg.errors import AnswersNeeded
from alseg.runs.folder import RunFolder
from alseg.runs.phases import peak_memory
from alseg.runs.run_summary import Evaluation


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(RunConfig()):
        pass
    return folder


def test_a_run_that_is_kept_on_wandb_can_be_opened_again(folder):
    folder.summary.wandb_id = "12ab34cd"
    folder.summary.before = Evaluation({"mIoU": 0.5})
    folder.record()
    known = RunFolder.open(folder.path).summary
    assert (known.wandb_id, known.before) == ("12ab34cd", Evaluation({"mIoU": 0.5}))


@pytest.mark.parametrize("name", ["http-run", "file:run"])
def test_a_folder_named_like_a_url_holds_all_of_a_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    arguments = ["fit", "-c", "tiny.yaml", "--strategy", "random", "--validate-every", "2"]
    assert main([*arguments, "--out", name]) == 0
    kept = {str(path) for path in Path().rglob("*.ckpt")}
    assert kept == {f"{name}/checkpoints/{part}.ckpt" for part in ("source", "best", "last")}
    assert {path.name for path in Path().iterdir()} == {"tiny.yaml", name}
    assert main(["fit", "--resume", name]) == 0


@pytest.mark.parametrize("name", ["a::b", "zip::run", "http::file:/run", "above::it/run"])
@pytest.mark.parametrize("command", [["fit"], ["sweep", "matrix.yaml"]])
def test_a_name_of_several_urls_is_refused(tmp_path, monkeypatch, capsys, name, command):
    monkeypatch.chdir(tmp_path)
    Path("matrix.yaml").write_text("strategies: [random]\nbudgets: [0.01]\nseeds: [0]\n")
    assert main([*command, "--out", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "contains '::'" in line
    assert [path.name for path in Path().iterdir()] == ["matrix.yaml"]


def test_a_run_below_such_a_name_is_not_resumed(tmp_path, capsys):
    folder = RunFolder(tmp_path / "a::b" / "run")
    with folder.claimed(RunConfig(source="scenes:sim")):
        pass
    assert main(["fit", "--resume", str(folder.path)]) == 2
    assert "contains '::'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["fit"],
        ["sweep", "matrix.yaml"],
        ["predict", "last.ckpt", "images"],
        ["query", "last.ckpt", "images", "--budget", "1%"],
        ["export", "run", "--format", "coco"],
        ["labels", "export", "run"],
        ["compare", "runs"],
    ],
)
@pytest.mark.parametrize("url", ["s3://bucket/run", "http://host/run", "file:///run"])
def test_no_command_writes_to_a_url(tmp_path, monkeypatch, capsys, command, url):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--out", url]) == 2
    assert "a URL, and alseg writes to folders of this machine alone" in capsys.readouterr().err
    assert not list(Path().iterdir())


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
    known = RunFolder.open(folder.path).summary.content
    assert known["peak_memory_of_gpu_mib"] == {"training": 300.0}
    assert known["peak_memory_of_process_mib"].keys() == known["seconds"].keys() == {"training"}


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("alseg.runs.phases.time.perf_counter", lambda: clock.now)
    return clock


def seconds(folder):
    return RunFolder.open(folder.path).summary.content.get("seconds")


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

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from tests.helpers.toys import TINY

from alseg.cli.main import main
from alseg.data import open_dataset
from alseg.runs import provenance
from alseg.runs.provenance import processor_name
from alseg.runs.run_provenance import Checkout


@pytest.fixture
def photographs(tmp_path):
    """CamVid's layout with images of several sizes, whose bytes are those of no other file."""
    for number, size in enumerate([(8, 6), (10, 6)]):
        for kind in ("images", "labels"):
            path = tmp_path / "camvid" / kind / "train" / f"frame-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB" if kind == "images" else "L", size, number).save(path)
    return tmp_path / "camvid"


def digest_by_hand(root, sizes):
    text = ""
    for number, (width, height) in enumerate(sizes):
        file = root / f"images/train/frame-{number}.png"
        text += f"frame-{number}\t{height}\t{width}\t{len(file.read_bytes())}\n"
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_of_data_is_that_of_ids_sizes_and_file_sizes(photographs):
    dataset = open_dataset(f"camvid:{photographs}", "train")
    assert provenance.data_digest(dataset) == digest_by_hand(photographs, [(8, 6), (10, 6)])
    before = provenance.data_digest(dataset)
    with (photographs / "images/train/frame-1.png").open("ab") as file:
        file.write(b"\0")
    assert provenance.data_digest(dataset) != before


def test_a_run_says_what_it_was_made_with_and_each_time_it_goes_on(tmp_path, monkeypatch, capsys):
    weights = tmp_path / "start"
    (tmp_path / "tiny.yaml").write_text(TINY.replace("steps: 4", "steps: 1"))
    monkeypatch.setattr(sys, "argv", ["alseg", "fit", "--protocol", "source_only"])
    arguments = ["fit", "-c", str(tmp_path / "tiny.yaml"), "--warm-start-steps", "0"]
    only = [*arguments, "--protocol", "source_only"]
    assert main([*only, "--out", str(weights)]) == 0
    start = weights / "checkpoints" / "last.ckpt"
    out = tmp_path / "run"
    assert main([*only, "--out", str(out), "--init-from", str(start)]) == 0
    kept = out / "provenance.json"
    (first,) = json.loads(kept.read_text())["starts"]
    assert first["command"] == ["alseg", "fit", "--protocol", "source_only"]
    assert first["versions"]["python"] == platform.python_version()
    assert first["versions"]["numpy"] == numpy.__version__
    assert first["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert first["init_from"]["sha256"] == hashlib.sha256(start.read_bytes()).hexdigest()
    assert first["weights"] == {"name": "none"}
    assert {name: data["images"] for name, data in first["data"].items()} == {
        "source": 6,
        "pool": 5,
        "chosen on": 5,
        "reported on": 5,
    }
    (device,) = first["devices"]
    assert device.startswith("cpu: ")
    assert device.endswith(f", {torch.get_num_threads()} threads")

    assert main(["fit", "--resume", str(out)]) == 0
    assert len(json.loads(kept.read_text())["starts"]) == 1
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["peak_memory_of_process_mib"]) == {"evaluation", "training"}
    # PyTorch alone takes more than that.
    assert all(100 < peak < 100_000 for peak in summary["peak_memory_of_process_mib"].values())
    del summary["after"]
    (out / "summary.json").write_text(json.dumps(summary))
    assert main(["fit", "--resume", str(out)]) == 0
    assert json.loads(kept.read_text())["starts"][0] == first
    assert len(json.loads(kept.read_text())["starts"]) == 2

    (out / "summary.json").write_text(json.dumps(summary))
    kept.write_text("half of")
    capsys.readouterr()
    assert main(["fit", "--resume", str(out)]) == 0
    assert "it is kept as unreadable-provenance.json" in capsys.readouterr().err
    assert (out / "unreadable-provenance.json").read_text() == "half of"
    assert len(json.loads(kept.read_text())["starts"]) == 1


def test_the_commit_is_that_of_the_checkout_and_none_outside_of_one(tmp_path):
    assert provenance._checkout(tmp_path) is None

    def git(*arguments):
        who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    Path(tmp_path, "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "Begin")
    commit = git("log", "-1", "--format=%H")
    clean = Checkout(commit, False, None)
    assert provenance._checkout(tmp_path) == clean
    digests = []
    for content in ("2", "3", "2", "not UTF-8: \xff"):
        Path(tmp_path, "a").write_text(content, encoding="latin-1")
        told = provenance._checkout(tmp_path)
        diff = subprocess.run(["git", "diff", "HEAD"], cwd=tmp_path, capture_output=True).stdout
        digests.append(hashlib.sha256(diff).hexdigest()[:16])
        assert told == Checkout(commit, True, digests[-1])
    assert digests[0] == digests[2]
    assert len(set(digests)) == 3
    Path(tmp_path, "a").write_text("1")
    assert provenance._checkout(tmp_path) == clean


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance._checkout(tmp_path) is None


def test_the_processor_is_called_by_its_name(tmp_path):
    table = tmp_path / "cpuinfo"
    table.write_text("processor\t: 0\nmodel\t\t: 143\nmodel name\t: Example 9: 2.0 GHz\n\n" * 2)
    assert processor_name(table) == "Example 9: 2.0 GHz"


def test_a_processor_without_a_name_is_called_by_its_kind(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    kind = platform.processor() or platform.machine()
    assert processor_name(tmp_path / "cpuinfo") == processor_name(tmp_path / "none") == kind

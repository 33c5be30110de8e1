"""What somebody sends is loaded, and runs no code."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alseg.cli.main import main
from alseg.config.run import RunConfig
from alseg.errors import FolderLeadsOut
from alseg.labels import LabelStore, PoolImage
from alseg.runs.folder import RunFolder


class Evil:
    """Touches a file as soon as it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it ran"


@pytest.fixture
def checkpoint(tmp_path, marker):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Evil(marker)}, path)
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        assert b"touch" in archive.read(name)
    return path


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "a.png")
    return folder


def test_no_command_runs_what_is_in_a_checkpoint(tmp_path, checkpoint, images, marker, capsys):
    out = str(tmp_path / "out")
    for arguments in (
        ["predict", str(checkpoint), str(images), "-o", out],
        ["query", str(checkpoint), str(images), "-o", out, "--budget", "1 regions"],
    ):
        assert main(arguments) == 2
        assert "last.ckpt" in capsys.readouterr().err
        assert not marker.exists()


def test_nor_does_a_library_that_would_let_it(monkeypatch, checkpoint, marker):
    """Some releases of Lightning load what they resume with everything that is in it."""
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    assert main(["strategies"]) == 0
    assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoint, weights_only=False)
    assert not marker.exists()
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    torch.load(checkpoint, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("place", ["checkpoints", "labels/round-001", "config.yaml", "pictures/x"])
def test_no_run_is_resumed_or_exported_by_links_that_lead_out_of_it(tmp_path, place, capsys):
    run, outside = tmp_path / "run", tmp_path / "outside"
    with RunFolder(run).claimed(RunConfig()):
        LabelStore.create(run / "labels", [PoolImage("a", 4, 4)], ["road", "sky"])
    path = run / place
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(outside)
    else:
        outside.mkdir()
    path.symlink_to(outside)
    with pytest.raises(FolderLeadsOut, match=f"{path} is a link to {outside}"):
        RunFolder.of(RunConfig(resume=str(run)), ())
    for arguments in (["verify"], ["export", "-o", str(tmp_path / "out")]):
        assert main(["labels", arguments[0], str(run), *arguments[1:]]) == 2
        assert f"{path} is a link to {outside}" in capsys.readouterr().err
    assert not outside.is_dir() or list(outside.iterdir()) == []

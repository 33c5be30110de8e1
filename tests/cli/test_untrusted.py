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

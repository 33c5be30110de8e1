import errno
import os
from pathlib import Path

import pytest
from tests.helpers.disks import FaultyDisk

from alseg.config.run import RunConfig
from alseg.runs.folder import RunFolder
from alseg.storage.durable import replace_durably, sync_folder


@pytest.fixture
def calls(monkeypatch):
    """The calls that move data to the storage, in order: what was synced, and what was renamed."""
    seen = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor):
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def replaced(draft, target):
        seen.append(f"{draft.name} -> {target.name}")
        return replace(draft, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return seen


on_linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux for names")


@on_linux
def test_data_are_on_disk_before_their_name_and_their_name_before_the_call_returns(tmp_path, calls):
    replace_durably(tmp_path / "run" / "a.json", b"new")
    assert calls == ["a.json.part", "a.json.part -> a.json", "run"]
    assert [path.read_bytes() for path in (tmp_path / "run").iterdir()] == [b"new"]


@on_linux
def test_the_settings_and_the_figures_of_a_run_are_on_disk_when_they_are_kept(tmp_path, calls):
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(RunConfig()):
        folder.record()
    assert calls == [
        *("config.yaml.part", "config.yaml.part -> config.yaml", "run"),
        *("summary.json.part", "summary.json.part -> summary.json", "run"),
    ]


@pytest.mark.parametrize("place", ["write", "replace"])
def test_where_it_fails_the_old_file_stays_and_no_draft(tmp_path, monkeypatch, place):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if place == "write":
            FaultyDisk(patch, tmp_path, errno.ENOSPC)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left on device"):
            replace_durably(path, b"new content")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"a.json": b"old"}


def test_a_draft_that_a_killed_process_left_is_in_nobodys_way(tmp_path):
    (tmp_path / "a.json.part").write_bytes(b"half of what was")
    replace_durably(tmp_path / "a.json", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"new"}


def test_a_file_system_that_cannot_sync_a_folder_is_no_error_and_a_broken_disk_is(
    tmp_path, monkeypatch
):
    def fails(number):
        def call(descriptor):
            raise OSError(number, os.strerror(number))

        return call

    monkeypatch.setattr(os, "fsync", fails(errno.EINVAL))
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", fails(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)

import os

import pytest

from alseg.errors import ConfigError, FolderInUse
from alseg.storage.folder_lock import lock_folder
from alseg.storage.whole_folder import export_folder, whole_folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_folder_is_seen_once_it_is_whole(tmp_path):
    target = tmp_path / "above" / "whole"
    with whole_folder(target, tmp_path / "above" / ".draft") as draft:
        (draft / "a.txt").write_text("a")
        assert not target.exists()
    assert names(tmp_path) == ["above", "above/whole", "above/whole/a.txt"]


def test_of_a_folder_that_fails_nothing_is_left(tmp_path):
    def fail():
        with whole_folder(tmp_path / "whole", tmp_path / ".draft") as draft:
            (draft / "a.txt").write_text("a")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_thrown_away(tmp_path):
    (tmp_path / ".draft").mkdir()
    (tmp_path / ".draft" / "old.txt").write_text("old")
    with whole_folder(tmp_path / "whole", tmp_path / ".draft") as draft:
        (draft / "new.txt").write_text("new")
    assert names(tmp_path) == ["whole", "whole/new.txt"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_folder_that_the_storage_refuses_is_not_there(tmp_path, monkeypatch, call):
    def refuse(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    place, draft = tmp_path / "whole", tmp_path / ".draft"
    with pytest.raises(OSError, match="No space"), whole_folder(place, draft):
        pass
    assert names(tmp_path) == []


def test_an_export_takes_the_place_of_an_empty_folder_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    with export_folder(tmp_path / "empty") as draft:
        (draft / "a.txt").write_text("a")
    assert names(tmp_path) == ["empty", "empty/a.txt"]
    with pytest.raises(ConfigError, match="is in use"), export_folder(tmp_path / "empty"):
        pass
    assert names(tmp_path) == ["empty", "empty/a.txt"]


def test_one_writes_to_a_folder_until_the_lock_is_released(tmp_path):
    lock = lock_folder(tmp_path)
    with pytest.raises(FolderInUse, match="Another process is writing"):
        lock_folder(tmp_path)
    lock.release()
    lock_folder(tmp_path).release()


def test_a_link_is_no_lock_and_what_it_leads_to_stays(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".lock").symlink_to(outside)
    with pytest.raises(FolderInUse, match=r"\.lock is a link.*Remove it"):
        lock_folder(folder)
    assert outside.read_text() == "mine"

import pytest

from alseg.errors import FolderInUse
from alseg.storage.folder_lock import lock_folder


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

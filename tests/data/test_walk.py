"""Walking folders: every file once, whatever links and other things there are."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers import trees

from alseg.data import open_dataset
from alseg.data.companions import companions
from alseg.data.image_files import find_images
from alseg.data.walk import files_below
from alseg.errors import DatasetError


def names(folder):
    return [str(path.relative_to(folder)) for path in files_below(folder, is_image)]


def is_image(name):
    return name.endswith(".png")


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.fixture
def two(tmp_path):
    """Two images in train, one in test beside it."""
    root = tmp_path / "images"
    touch(root / "train/a.png", root / "train/deep/b.png", root / "test/c.png")
    return root / "train"


@pytest.mark.parametrize("target", ["..", "../..", ".", "../train", "deep"])
def test_a_link_to_a_folder_that_holds_it_or_was_entered_adds_nothing(two, target):
    (two / "up").symlink_to(target, target_is_directory=True)
    assert names(two) == ["a.png", "deep/b.png"]


def test_two_links_to_each_other_end(two):
    for name, other in (("x", "y"), ("y", "x")):
        (two / name / "in").mkdir(parents=True)
        (two / name / "in/link").symlink_to(two / other, target_is_directory=True)
    (two / "self").symlink_to("self")
    (two / "p").symlink_to("q")
    (two / "q").symlink_to("p")
    assert names(two) == ["a.png", "deep/b.png"]


def test_a_folder_elsewhere_is_entered_by_its_link_and_not_left_upwards(two, tmp_path):
    other = tmp_path / "other/drive"
    touch(other / "d.png", tmp_path / "other/e.png")
    (other / "up").symlink_to(tmp_path / "other", target_is_directory=True)
    (other / "back").symlink_to(two.parent, target_is_directory=True)
    (two / "more").symlink_to(other, target_is_directory=True)
    assert names(two) == ["a.png", "deep/b.png", "more/d.png"]


def test_a_folder_that_is_a_link_itself_is_walked(two, tmp_path):
    (tmp_path / "link").symlink_to(two, target_is_directory=True)
    assert names(tmp_path / "link") == ["a.png", "deep/b.png"]


FOLDERS = ["", "a", "a/b", "a/b/c", "d", "d/e"]


@given(st.lists(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(FOLDERS)), max_size=6))
def test_whatever_links_there_are_every_file_is_found_once(tmp_path_factory, links):
    root = tmp_path_factory.mktemp("tree")
    for folder in FOLDERS:
        touch(root / folder / "x.png")
    for number, (where, target) in enumerate(links):
        (root / where / f"link{number}").symlink_to(root / target, target_is_directory=True)
    expected = sorted(f"{folder}/x.png".lstrip("/") for folder in FOLDERS)
    assert sorted(names(root)) == expected


def test_hidden_files_and_what_systems_leave_are_no_images(two):
    touch(two / "._a.png", two / ".cache/x.png", two / "__MACOSX/y.png", two / "@eaDir/a/z.png")
    touch(two / "Thumbs.db", two / "deep/.png")
    assert names(two) == ["a.png", "deep/b.png"]


def test_what_is_named_like_an_image_and_is_no_file_is_refused_unopened(two):
    os.mkfifo(two / "notes")
    assert names(two) == ["a.png", "deep/b.png"]
    os.mkfifo(two / "pipe.png")
    with pytest.raises(DatasetError, match=r"pipe.png is a named pipe, not a file"):
        names(two)
    with pytest.raises(DatasetError, match="named pipe"):
        find_images([str(two / "pipe.png")], two / "out")


def test_a_device_and_a_socket_are_refused(two, monkeypatch):
    (two / "null.png").symlink_to("/dev/null")
    with pytest.raises(DatasetError, match=r"null.png is a device"):
        names(two)
    (two / "null.png").unlink()
    monkeypatch.chdir(two)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
        with pytest.raises(DatasetError, match=r"s.png is a socket"):
            names(two)


def test_a_link_to_nothing_names_what_is_missing(two):
    (two / "gone.png").symlink_to(two / "nowhere/x.png")
    with pytest.raises(DatasetError, match=r"gone.png is a link to nothing.*nowhere/x.png"):
        names(two)
    with pytest.raises(DatasetError, match="link to nothing"):
        find_images([str(two / "gone.png")], two / "out")


def test_a_folder_that_cannot_be_read_is_not_passed_over(two, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DatasetError, match=r"deep cannot be read: Permission denied"):
        names(two)


def test_an_image_that_links_reach_twice_counts_once_and_a_hard_link_is_an_image(tmp_path):
    spec = trees.write_folder(tmp_path)
    photos, masks = tmp_path / "photos/train", tmp_path / "masks/train"
    for name, make in (("0", os.symlink), ("hard", os.link)):
        make(photos / "a.jpg", photos / f"{name}.jpg")
        os.link(masks / "a.png", masks / f"{name}.png")
    dataset = open_dataset(spec, "train")
    assert list(dataset.ids) == ["a", "deep/b", "hard"]
    assert all(dataset.label(index).shape == dataset.size(index) for index in range(3))


NAMED_AFTER_A = """
    a_mask a_label a_labelTrainIds a_gtFine_labelIds a_gtFine_color a.mask a-seg a_L a_train_id
    a_trainIds a_instanceIds a_GT a_mask_color
"""


@pytest.mark.parametrize("name", NAMED_AFTER_A.split())
def test_names_of_an_image_and_words_for_its_labels_are_companions(name):
    assert companions(["a", "b", name], ["a", "b", name]) == {name}
    assert companions(["c", name], ["c", name]) == set()


@pytest.mark.parametrize("name", ["a_l", "a_1", "amask", "a_left", "a_unmask", "x/a_mask", "_mask"])
def test_other_names_are_images(name):
    assert companions(["a", name], ["a", name]) == set()


def test_queries_and_predictions_leave_companions_and_hidden_files_out(tmp_path):
    for name in ("a.jpg", "a_mask.png", "b_mask.png", "._a.jpg", "deep/c.png", "deep/c_label.png"):
        trees.write_image(tmp_path / "p" / name)
    (tmp_path / "p/deep/up").symlink_to(tmp_path / "p", target_is_directory=True)
    found = find_images([str(tmp_path / "p")], tmp_path / "out")
    assert sorted(found) == ["a", "b_mask", "deep/c"]


def test_two_results_of_one_name_but_for_its_accents_are_refused(tmp_path):
    trees.write_image(tmp_path / "p/caf\u00e9.png")
    trees.write_image(tmp_path / "p/cafe\u0301.png")
    with pytest.raises(DatasetError, match="accents"):
        find_images([str(tmp_path / "p")], tmp_path / "out")

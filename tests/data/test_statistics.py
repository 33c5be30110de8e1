"""What is counted before anyone trains."""

import numpy as np
import pytest
from PIL import Image
from tests.helpers import trees

from alseg.data import describe, format_table, open_dataset


def test_pixels_are_counted_by_class_and_void(tmp_path):
    dataset = open_dataset(trees.write_folder(tmp_path), "train")
    summary = describe(dataset)
    # Forty columns go through void, floor, shelf, floor in each of two label files.
    column = 2 * trees.HEIGHT * trees.WIDTH // 4
    assert summary.class_pixels.dtype == np.int64
    assert summary.class_pixels.tolist() == [2 * column, column]
    assert summary.void_pixels == column
    assert summary.void_share == 0.25
    assert summary.class_shares.tolist() == [0.5, 0.25]
    assert (summary.count, summary.examined, summary.labelled_images) == (2, 2, 2)
    assert dict(summary.sizes) == {(trees.HEIGHT, trees.WIDTH): 2}
    assert summary.problems == ()


def test_progress_is_told_after_every_image(tmp_path):
    dataset = open_dataset(trees.write_gtav(tmp_path), "train")
    calls = []
    describe(dataset, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("limit", "examined"), [(2, 2), (99, 3), (0, 0), (None, 3)])
def test_a_limit_looks_at_some_images_only(limit, examined, tmp_path):
    summary = describe(open_dataset(trees.write_gtav(tmp_path), "train"), limit=limit)
    assert (summary.count, summary.examined) == (3, examined)
    assert summary.sizes.total() == summary.labelled_images == examined


def test_a_limit_spreads_over_the_whole_data_set(tmp_path):
    for index in range(10):
        trees.write_image(tmp_path / f"photos/train/{index}.png", size=(5 + index, 5))
    (tmp_path / "a.yaml").write_text("images: photos\nclasses: [floor]\n")
    summary = describe(open_dataset(f"folder:{tmp_path / 'a.yaml'}", "train"), limit=5)
    assert sorted(summary.sizes) == [(5, 5), (7, 5), (9, 5), (11, 5), (13, 5)]


def test_a_pool_without_labels_is_described_without(tmp_path):
    summary = describe(open_dataset(trees.write_cityscapes(tmp_path), "test"))
    assert (summary.count, summary.labelled_images, summary.labelled_pixels) == (1, 0, 0)
    assert np.isnan(summary.void_share)
    assert "road" in format_table([summary])


def test_bad_files_are_listed_and_the_rest_is_counted(tmp_path):
    spec = trees.write_camvid(tmp_path)
    dataset = open_dataset(spec, "train")
    trees.write_grey_label(tmp_path / "labels/train/0001TP_006690.png", trees.stripes([0, 99]))
    (tmp_path / "images/train/Seq05VD_f00000.jpg").write_bytes(b"")
    summary = describe(dataset)
    assert (summary.examined, summary.labelled_images) == (3, 1)
    assert len(summary.problems) == 2
    table = format_table([summary])
    assert "camvid train: 2 files cannot be used" in table
    assert "0001TP_006690.png" in table
    assert "99 (" in table


def test_two_domains_stand_side_by_side(tmp_path):
    folder = describe(open_dataset(trees.write_folder(tmp_path / "f"), "train"))
    camvid = describe(open_dataset(trees.write_camvid(tmp_path / "c"), "val"))
    lines = format_table([folder, camvid]).splitlines()
    assert lines[0].split() == ["warehouse", "train", "camvid", "val"]
    rows = {line[:14].strip(): line[14:].split() for line in lines[1:]}
    assert rows["images"] == ["2", "1"]
    assert rows["height x width"] == ["12x40", "12x40"]
    assert rows["shelf"] == ["25.0%", "-"]
    assert rows["void"][0] == "25.0%"
    # Column 0 of every twelve is sky: four of forty.
    assert rows["sky"] == ["-", "10.0%"]
    assert len({len(line) for line in lines}) == 1


def write_masks(root, values, classes):
    """Write an image per value, all of whose label pixels have it, and their description."""
    for number, value in enumerate(values):
        trees.write_image(root / f"images/train/{number}.jpg", (4, 5), seed=number)
        trees.write_grey_label(root / f"labels/train/{number}.png", np.full((4, 5), value))
    description = root / "masks.yaml"
    description.write_text(f"images: images\nlabels: labels\nclasses: {classes}\n")
    return f"folder:{description}"


def test_a_class_without_a_pixel_is_named(tmp_path):
    dataset = open_dataset(write_masks(tmp_path, [0, 2], "[road, car, tree, sky]"), "train")
    assert "masks train: no pixel is of class car, sky." in format_table([describe(dataset)])


def test_labels_that_are_nearly_all_void_are_noted(tmp_path):
    dataset = open_dataset(write_masks(tmp_path, [1] + 9 * [255], "[road, car]"), "train")
    assert "masks train: 90.0% of the labelled pixels are void" in format_table([describe(dataset)])
    spec = write_masks(tmp_path, [1, 1], "[road, car]")
    assert "are void" not in format_table([describe(open_dataset(spec, "train"))])


def test_classes_that_the_label_space_lacks_are_named(tmp_path):
    spec = write_masks(tmp_path, [0, 1], "[road, tram, car]")
    text = format_table([describe(open_dataset(spec, "train", "cityscapes19"))])
    assert "masks train: void because the label space lacks them: tram." in text
    # Of the nineteen classes the data could hold road and car alone.
    assert "no pixel is of class car." in text


def test_images_that_tags_turn_are_counted(tmp_path):
    dataset = open_dataset(write_masks(tmp_path, [0, 1, 0], "[road, car]"), "train")
    exif = Image.Exif()
    exif[0x0112] = 3
    for number in (0, 1):
        Image.new("RGB", (5, 4)).save(tmp_path / f"images/train/{number}.jpg", exif=exif)
    summary = describe(dataset)
    assert summary.turned == 2
    assert "2 of 3 images are turned by their EXIF or TIFF tags" in format_table([summary])

"""A user's own images, described by a YAML file."""

import itertools

import numpy as np
import pytest
import yaml
from tests.helpers import trees

from alseg.data import open_dataset
from alseg.errors import DatasetError

CLASSES = ["floor", "shelf"]


@pytest.fixture
def describe(tmp_path):
    """Write a description of the tree in the test's folder, and return its spec."""
    trees.write_folder(tmp_path)

    def write(**content):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"images": "photos", "classes": CLASSES, **content}))
        return f"folder:{path}"

    return write


def test_values_become_classes_by_the_mapping(tmp_path):
    dataset = open_dataset(trees.write_folder(tmp_path), "train")
    assert dataset.name == "warehouse"
    assert dataset.label_space.classes == ("floor", "shelf")
    assert dataset.label_space.colors[1] == (1, 2, 3)
    assert np.array_equal(dataset.label(0), trees.stripes([255, 0, 1, 0]))


def test_images_are_found_at_any_depth_and_in_any_format(tmp_path):
    spec = trees.write_folder(tmp_path)
    assert list(open_dataset(spec, "train").ids) == ["a", "deep/b"]
    for split, id_ in (("val", "c"), ("test", "d")):
        dataset = open_dataset(spec, split)
        assert list(dataset.ids) == [id_]
        assert dataset.image(0).shape == (*dataset.label(0).shape, 3)


def test_one_folder_per_split(describe):
    spec = describe(
        images={"train": "photos/val", "val": "photos/test"}, labels={"val": "masks/test"}
    )
    assert not open_dataset(spec, "train").has_labels
    assert open_dataset(spec, "val").has_labels
    with pytest.raises(DatasetError, match="no folder for the test split, only for train, val"):
        open_dataset(spec, "test")


def test_without_labels_images_are_a_pool(describe):
    dataset = open_dataset(describe(name="pool"), "train")
    assert (dataset.name, len(dataset), dataset.has_labels) == ("pool", 2, False)


def test_a_split_without_labels_under_a_root_that_has_some(describe, tmp_path):
    for path in (tmp_path / "masks/train").rglob("*.png"):
        path.unlink()
    (tmp_path / "masks/train/deep").rmdir()
    (tmp_path / "masks/train").rmdir()
    spec = describe(labels="masks")
    assert not open_dataset(spec, "train").has_labels
    assert open_dataset(spec, "val").has_labels


def test_without_a_mapping_values_are_positions_in_the_class_list(describe, tmp_path):
    trees.write_grey_label(tmp_path / "masks/val/c.png", trees.stripes([0, 1, 255]))
    spec = describe(labels="masks")
    assert np.array_equal(open_dataset(spec, "val").label(0), trees.stripes([0, 1, 255]))
    with pytest.raises(DatasetError, match=r"10 \(.*Allowed are 0-1, 255"):
        open_dataset(spec, "test").label(0)


def test_255_is_an_object_where_the_mapping_says_so(describe, tmp_path):
    trees.write_grey_label(tmp_path / "masks/val/c.png", trees.stripes([0, 255]))
    spec = describe(labels="masks", mapping={0: "floor", 255: "shelf"})
    assert np.array_equal(open_dataset(spec, "val").label(0), trees.stripes([0, 1]))


def test_255_is_not_void_unless_the_mapping_says_so(describe, tmp_path):
    trees.write_grey_label(tmp_path / "masks/val/c.png", trees.stripes([0, 255]))
    spec = describe(labels="masks", mapping={0: "floor", 1: "shelf"})
    with pytest.raises(DatasetError, match="255 "):
        open_dataset(spec, "val").label(0)


def test_classes_without_colours_get_distinct_ones(describe):
    classes = [f"class {i}" for i in range(60)]
    colors = open_dataset(describe(classes=classes), "train").label_space.colors
    assert len(set(colors)) == 60
    apart = [np.abs(np.subtract(a, b)).max() for a, b in itertools.pairwise(colors)]
    assert min(apart) > 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"image": "photos"}, "unknown key 'image'. Did you mean 'images'"),
        ({"classes": []}, "lacks 'classes'"),
        ({"images": None}, "lacks 'images'"),
        ({"classes": "floor"}, "`classes` in .* is not a list"),
        ({"classes": ["floor", True]}, "Class 1 in .* in quotes"),
        ({"classes": [{"name": "floor", "colour": [1, 2, 3]}]}, "Class 0"),
        ({"classes": [{"name": "floor", "color": [1, 2]}]}, "three numbers"),
        ({"classes": [{"name": "floor", "color": "red"}]}, "three numbers"),
        ({"mapping": ["floor"]}, "`mapping` in .* is not a mapping"),
        ({"mapping": {0: "flor"}}, "'flor'.*Did you mean 'floor'"),
        ({"images": 3}, "`images` in .* is not a path"),
        ({"images": "fotos"}, "No folder .*fotos .* holds masks/, mine.yaml, photos/"),
        ({"labels": "maks"}, "No folder .*maks"),
        ({"images": "photos/train"}, "no folder 'train'; it holds a.jpg, deep/"),
        ({"images": {"trian": "photos"}}, "Did you mean 'train'"),
        ({"labels": {"train": "photos/train/a.jpg"}}, "is a file"),
        ({"classes": ["void", "floor"]}, "class called 'void'.*VALUE: void.*'other'"),
        ({"classes": ["floor", " Void"]}, "class called ' Void'"),
        ({"classes": ["floor", "mixed"]}, "class called 'mixed'.*several classes"),
        ({"classes": ["floor", {"name": "skip"}]}, "class called 'skip'"),
        ({"mapping": {"0": "floor"}}, "'0' is not such a number"),
        ({"mapping": {0: ["floor"]}}, r"value 0 to \['floor'\]"),
    ],
)
def test_a_description_that_cannot_be_used_is_explained(describe, content, message):
    with pytest.raises(DatasetError, match=message):
        open_dataset(describe(**content), "train")


def test_a_folder_instead_of_a_description_is_explained(tmp_path):
    with pytest.raises(DatasetError, match=r"is a folder. It needs `images: FOLDER`"):
        open_dataset(f"folder:{tmp_path}", "train")
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(f"folder:{tmp_path / 'no.yaml'}", "train")


@pytest.mark.parametrize("text", ["a: [", "just words", ""])
def test_a_file_that_describes_nothing_is_explained(text, tmp_path):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(
        DatasetError, match=r"a.yaml, line 1: expected|does not describe a data set"
    ):
        open_dataset(f"folder:{tmp_path / 'a.yaml'}", "train")


@pytest.mark.parametrize(
    ("encoding", "text", "message"),
    [
        ("utf-16", "{}", "not UTF-8 text"),
        ("latin-1", "{}\nname: süd", "not UTF-8 text"),
        ("utf-8", "{}\nmapping: {{7: floor, 0x7: shelf}}", "7 is given twice"),
        ("utf-8", "{}\nmapping: {{7: floor, 7: shelf}}", "7 is given twice"),
        ("utf-8", "{}\nmapping:\n  7: floor\n  010: shelf", "line 5: 010 begins with 0"),
        ("utf-8", "{}\nmapping: {{[7]: floor}}", "a list cannot be a key"),
        ("utf-8", "{}\nmapping: " + "[" * 3000, "nested"),
    ],
)
def test_a_description_that_means_something_else_than_it_says_is_refused(
    encoding, text, message, describe, tmp_path
):
    text = text.format("images: photos\nclasses: [floor, shelf]")
    (tmp_path / "mine.yaml").write_text(text, encoding=encoding)
    with pytest.raises(DatasetError, match=message):
        open_dataset(f"folder:{tmp_path / 'mine.yaml'}", "train")


def test_a_description_with_a_byte_order_mark_is_read(describe, tmp_path):
    spec = describe(name="süd")
    path = tmp_path / "mine.yaml"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert open_dataset(spec, "train").name == "süd"


def test_two_images_of_one_name_are_refused(describe, tmp_path):
    trees.write_image(tmp_path / "photos/train/a.png")
    with pytest.raises(DatasetError, match="go by the same name but for their ending"):
        open_dataset(describe(), "train")


def test_a_split_without_images_is_explained(describe, tmp_path):
    (tmp_path / "photos/val/c.webp").unlink()
    with pytest.raises(DatasetError, match=r"No images were found.*\.webp"):
        open_dataset(describe(), "val")


def test_hidden_files_are_left_out(describe, tmp_path):
    trees.write_image(tmp_path / "photos/train/._a.png")
    trees.write_image(tmp_path / "photos/train/.thumbs/b.png")
    assert len(open_dataset(describe(), "train")) == 2


def test_a_label_that_was_not_turned_with_its_photograph_gets_a_hint(describe, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "photos/val/c.jpg", exif=exif)
    (tmp_path / "photos/val/c.webp").unlink()
    trees.write_grey_label(tmp_path / "masks/val/c.png", np.zeros((10, 20)))
    dataset = open_dataset(describe(labels="masks"), "val")
    assert dataset.size(0) == (20, 10)
    with pytest.raises(DatasetError, match="turned by a quarter"):
        dataset.label(0)


def test_labels_are_found_by_the_suffix_of_their_names(describe, tmp_path):
    for path in sorted((tmp_path / "masks").rglob("*.png")):
        path.rename(path.with_name(f"{path.stem}_train_id.png"))
    mapping = {0: "void", 10: "floor", 20: "shelf", 30: "floor"}
    for written in ("_train_id", "_TRAIN_ID.png"):
        spec = describe(labels="masks", label_suffix=written, mapping=mapping)
        dataset = open_dataset(spec, "train")
        assert list(dataset.ids) == ["a", "deep/b"]
        assert np.array_equal(dataset.label(0), trees.stripes([255, 0, 1, 0]))


@pytest.mark.parametrize("suffix", ["_train_id", "_mask", "_gtFine_labelIds", "_L", "-x", ".y"])
def test_missing_labels_name_the_suffix_that_would_find_them(suffix, describe, tmp_path):
    for path in sorted((tmp_path / "masks/train").rglob("*.png")):
        path.rename(path.with_name(f"{path.stem}{suffix}.png"))
    with pytest.raises(DatasetError, match=f"Write `label_suffix: {suffix}`"):
        open_dataset(describe(labels="masks"), "train")


def test_labels_that_are_missing_are_not_explained_by_a_suffix(describe, tmp_path):
    (tmp_path / "masks/train/a.png").unlink()
    with pytest.raises(DatasetError, match="Add what is missing"):
        open_dataset(describe(labels="masks"), "train")


def test_images_and_labels_in_one_folder_are_told_apart_by_the_suffix(describe, tmp_path):
    for stem in ("1", "2"):
        trees.write_image(tmp_path / f"both/train/{stem}.png")
        trees.write_grey_label(tmp_path / f"both/train/{stem}_mask.png", trees.stripes([0, 1, 255]))
    spec = describe(images="both", labels="both", label_suffix="_mask")
    dataset = open_dataset(spec, "train")
    assert list(dataset.ids) == ["1", "2"]
    assert np.array_equal(dataset.label(1), trees.stripes([0, 1, 255]))
    assert len(open_dataset(describe(images="both"), "train")) == 2
    with pytest.raises(DatasetError, match="in the same folder.*`label_suffix: _mask`"):
        open_dataset(describe(images="both", labels="both"), "train")
    (tmp_path / "both/train/2.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 2 label files have no image \(2\)"):
        open_dataset(describe(images="both", labels="both", label_suffix="_mask"), "train")


def test_labels_below_the_folder_of_the_images_are_no_images(describe, tmp_path):
    trees.write_image(tmp_path / "both/1.png")
    trees.write_grey_label(tmp_path / "both/masks/1.png", trees.stripes([0, 1, 255]))
    spec = describe(images={"train": "both"}, labels={"train": "both/masks"})
    assert list(open_dataset(spec, "train").ids) == ["1"]


def test_composed_and_decomposed_names_match(describe, tmp_path):
    trees.write_image(tmp_path / "n/train/cafe\u0301.png")
    trees.write_grey_label(tmp_path / "m/train/caf\u00e9_u\u0308.png", trees.stripes([0, 1]))
    spec = describe(images="n", labels="m", label_suffix="_\u00fc")
    dataset = open_dataset(spec, "train")
    assert list(dataset.ids) == ["caf\u00e9"]
    assert dataset.image(0).shape == (*dataset.label(0).shape, 3)
    trees.write_image(tmp_path / "n/train/caf\u00e9.png")
    with pytest.raises(DatasetError, match="accents"):
        open_dataset(spec, "train")


def test_companions_are_left_out_of_a_pool_unless_they_have_labels(describe, tmp_path, caplog):
    trees.write_image(tmp_path / "photos/train/a_color.png")
    trees.write_grey_label(tmp_path / "masks/train/a_color.png", trees.stripes([0]))
    caplog.set_level("INFO", "alseg")
    assert list(open_dataset(describe(), "train").ids) == ["a", "deep/b"]
    assert "1 file is left out" in caplog.text
    assert list(open_dataset(describe(labels="masks"), "train").ids) == ["a", "a_color", "deep/b"]

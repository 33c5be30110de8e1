"""Every adapter on a tiny tree in its publisher's layout."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageFile
from tests.helpers import trees

from alseg.data import open_dataset
from alseg.errors import DatasetError

# From the label definitions that Cityscapes publishes: label id -> train id.
CITYSCAPES_TRAIN_IDS = {
    **{7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9},
    **{23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18},
}
# From the literature on SYNTHIA to Cityscapes: class id -> train id of 16.
SYNTHIA_TRAIN_IDS = {
    **{3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7},
    **{6: 8, 1: 9, 10: 10, 17: 11, 8: 12, 19: 13, 12: 14, 11: 15},
}
LABEL_FOLDERS = {
    "acdc": "gt",
    "camvid": "labels",
    "cityscapes": "gtFine",
    "gtav": "labels",
    "synthia": "GT",
}


def expected(values, train_ids):
    row = [train_ids.get(value, 255) for value in values]
    return trees.stripes(row).astype(np.uint8)


@pytest.fixture(params=sorted(trees.WRITERS))
def tree(request, tmp_path):
    return request.param, trees.WRITERS[request.param](tmp_path), tmp_path


def test_a_tree_opens_with_images_and_labels_that_fit_together(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    assert dataset.has_labels
    assert len(dataset) == len(set(dataset.ids)) > 1
    for index, id_ in enumerate(dataset.ids):
        assert not id_.startswith(("/", "."))
        assert "\\" not in id_
        image, label = dataset.image(index), dataset.label(index)
        assert image.shape == (trees.HEIGHT, trees.WIDTH, 3)
        assert image.dtype == label.dtype == np.uint8
        assert label.shape == dataset.size(index) == (trees.HEIGHT, trees.WIDTH)


def test_the_order_of_images_is_that_of_their_ids(tree):
    dataset = open_dataset(tree[1], "train")
    assert list(dataset.ids) == sorted(dataset.ids)


def test_the_size_is_read_without_decoding(tree, monkeypatch):
    dataset = open_dataset(tree[1], "train")

    def decode(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert dataset.size(0) == (trees.HEIGHT, trees.WIDTH)


def test_a_tree_without_its_label_folder_opens_as_a_pool(tree):
    adapter, spec, root = tree
    if adapter == "folder":
        pytest.skip("its description says whether there are labels")
    shutil.rmtree(root / LABEL_FOLDERS[adapter])
    dataset = open_dataset(spec, "train")
    assert not dataset.has_labels
    assert dataset.image(0).shape == (trees.HEIGHT, trees.WIDTH, 3)
    with pytest.raises(DatasetError, match="has no labels"):
        dataset.label(0)


def test_an_image_without_a_label_is_counted_and_named(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    dataset._pairs[1].label.unlink()
    with pytest.raises(DatasetError, match=f"1 of {len(dataset)} images have no label") as error:
        open_dataset(spec, "train")
    assert dataset.ids[1] in str(error.value)


def test_a_label_without_an_image_is_counted_and_named(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    dataset._pairs[0].image.unlink()
    with pytest.raises(DatasetError, match=f"1 of {len(dataset)} label files") as error:
        open_dataset(spec, "train")
    assert dataset.ids[0] in str(error.value)


def test_a_label_of_another_size_is_refused(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    trees.write_grey_label(dataset._pairs[0].label, np.zeros((5, 9)))
    with pytest.raises(DatasetError, match="9x5") as error:
        dataset.label(0)
    assert f"{trees.WIDTH}x{trees.HEIGHT}" in str(error.value)


def test_a_label_value_outside_the_list_is_counted_and_named(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    values = dataset._read_values(dataset._pairs[0].label).copy()
    values[0, :3] = 77
    trees.write_grey_label(dataset._pairs[0].label, values)
    with pytest.raises(DatasetError, match=r"77 \(3 pixels\).*Allowed are") as error:
        dataset.label(0)
    assert str(dataset._pairs[0].label) in str(error.value)


def test_a_missing_folder_is_named_with_what_lies_there_instead(tree, tmp_path):
    adapter = tree[0]
    if adapter == "folder":
        pytest.skip("takes a file")
    wrong = tmp_path / "elsewhere"
    (wrong / "notes").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"No folder .*elsewhere.* holds notes/"):
        open_dataset(f"{adapter}:{wrong}", "train")


@pytest.mark.parametrize("adapter", ["cityscapes", "acdc", "gtav"])
def test_label_ids_become_the_published_train_ids(adapter, tmp_path):
    dataset = open_dataset(trees.WRITERS[adapter](tmp_path), "train")
    count = 35 if adapter == "gtav" else 34
    assert np.array_equal(dataset.label(0), expected(range(count), CITYSCAPES_TRAIN_IDS))


def test_synthia_ids_become_the_16_classes_of_the_literature(tmp_path):
    dataset = open_dataset(trees.write_synthia(tmp_path), "train")
    assert np.array_equal(dataset.label(0), expected(range(23), SYNTHIA_TRAIN_IDS))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_synthia_takes_its_ids_from_the_first_channel(channels, tmp_path):
    spec = trees.write_synthia(tmp_path)
    ids = trees.stripes([3, 15])
    label = np.stack([ids, *[np.full_like(ids, 9)] * (channels - 1)], axis=2)
    trees.write_png16(tmp_path / "GT/LABELS/0000000.png", label)
    assert np.array_equal(open_dataset(spec, "train").label(0), trees.stripes([0, 6]))


def test_synthia_and_cityscapes_agree_in_the_16_and_13_classes(tmp_path):
    synthia = trees.write_synthia(tmp_path / "s")
    cityscapes = trees.write_cityscapes(tmp_path / "c")
    for space, count in (("synthia16", 16), ("synthia13", 13)):
        for spec in (synthia, cityscapes):
            dataset = open_dataset(spec, "train", label_space=space)
            found = set(np.unique(dataset.label(0)).tolist())
            assert found == {*range(count), 255}
    in_16 = open_dataset(cityscapes, "train", label_space="synthia16").label(0)
    # Columns show label ids 0, 1, 2, ...: terrain, truck and train are 22, 27 and 31.
    assert (in_16[:, [22, 27, 31]] == 255).all()


@pytest.mark.parametrize("adapter", ["gtav", "synthia"])
@pytest.mark.parametrize("split", ["val", "test"])
def test_data_sets_without_a_split_say_so(adapter, split, tmp_path):
    with pytest.raises(DatasetError, match=f"no {split} split"):
        open_dataset(trees.WRITERS[adapter](tmp_path), split)


@pytest.mark.parametrize("adapter", ["cityscapes", "acdc"])
def test_withheld_test_labels_are_not_labels(adapter, tmp_path):
    dataset = open_dataset(trees.WRITERS[adapter](tmp_path), "test")
    assert len(dataset) >= 1
    assert not dataset.has_labels


def test_cityscapes_reads_train_ids_where_those_exist_alone(tmp_path):
    spec = trees.write_cityscapes(tmp_path)
    for path in tmp_path.glob("gtFine/train/*/*_labelIds.png"):
        path.unlink()
        name = path.name.replace("labelIds", "labelTrainIds")
        trees.write_grey_label(path.with_name(name), trees.stripes([18, 255, 0]))
    dataset = open_dataset(spec, "train")
    assert np.array_equal(dataset.label(0), trees.stripes([18, 255, 0]))


def test_cityscapes_names_images_by_city_and_frame(tmp_path):
    dataset = open_dataset(trees.write_cityscapes(tmp_path), "train")
    assert list(dataset.ids) == ["aachen/aachen_000000_000019", "ulm/ulm_000000_000019"]


def test_acdc_opens_one_condition_or_all(tmp_path):
    spec = trees.write_acdc(tmp_path)
    assert len(open_dataset(spec, "train")) == 4
    fog = open_dataset(spec, "train", condition="fog")
    assert list(fog.ids) == ["fog/GOPR0475/GOPR0475_frame_000041"]
    with pytest.raises(DatasetError, match="Did you mean 'night'"):
        open_dataset(spec, "train", condition="nigth")


def test_camvid_is_parted_into_day_and_dusk_by_the_drive(tmp_path):
    root = trees.write_camvid(tmp_path).removeprefix("camvid:")
    assert list(open_dataset(f"camvid-day:{root}", "train").ids) == [
        "0006R0_f00930",
        "Seq05VD_f00000",
    ]
    assert list(open_dataset(f"camvid-dusk:{root}", "train").ids) == ["0001TP_006690"]
    assert list(open_dataset(f"camvid-dusk:{root}", "test").ids) == ["0001TP_008550"]
    with pytest.raises(DatasetError, match="camvid-dusk has no val split"):
        open_dataset(f"camvid-dusk:{root}", "val")


def test_thousands_of_images_open_without_one_being_read(tmp_path):
    for kind, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
        for city in range(18):
            folder = tmp_path / kind / "train" / f"city{city}"
            folder.mkdir(parents=True)
            for frame in range(166):
                (folder / f"{frame:06d}_{ending}.png").touch()
    # The files are empty, so whoever opened one would fail.
    assert len(open_dataset(f"cityscapes:{tmp_path}", "train")) == 2988


def test_a_truncated_image_is_named(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    path = dataset._pairs[0].image
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match="cannot be read as an image") as error:
        dataset.image(0)
    assert str(path) in str(error.value)


def test_a_truncated_label_is_read_whole_or_not_at_all(tree):
    _, spec, _ = tree
    dataset = open_dataset(spec, "train")
    path = dataset._pairs[0].label
    whole, label = path.read_bytes(), dataset.label(0)
    refused = 0
    for end in range(0, len(whole), 5):
        path.write_bytes(whole[:end])
        try:
            assert np.array_equal(dataset.label(0), label)
        except DatasetError:
            refused += 1
    # What may be missing unnoticed is the end marker and checksums, some 24 bytes.
    assert refused * 5 > len(whole) - 30


def test_palette_labels_are_read_as_indices_whatever_their_colours(tmp_path):
    spec = trees.write_gtav(tmp_path)
    with Image.open(tmp_path / "labels/00001.png") as image:
        assert image.mode == "P"
    grey = trees.stripes(list(range(35)))
    trees.write_grey_label(tmp_path / "labels/00002.png", grey)
    dataset = open_dataset(spec, "train")
    assert np.array_equal(dataset.label(0), dataset.label(1))


@pytest.mark.parametrize(
    ("name", "labels"), [("gtav", "labels"), ("synthia", "GT/LABELS"), ("camvid", "labels/train")]
)
def test_what_other_programs_prepare_beside_labels_is_left_out(name, labels, tmp_path):
    spec = trees.WRITERS[name](tmp_path)
    expected = list(open_dataset(spec, "train").ids)
    for path in sorted((tmp_path / labels).glob("*.png")):
        trees.write_grey_label(path.with_name(f"{path.stem}_labelTrainIds.png"), np.zeros((2, 2)))
    for table in ("sample_class_stats.json", "samples_with_class.json"):
        (tmp_path / labels / table).write_text("{}")
    dataset = open_dataset(spec, "train")
    assert list(dataset.ids) == expected
    assert dataset.label(0).shape == dataset.size(0)
    trees.write_grey_label(tmp_path / labels / "stray_labelTrainIds.png", np.zeros((2, 2)))
    with pytest.raises(DatasetError, match=r"have no image \(stray_labelTrainIds\)"):
        open_dataset(spec, "train")

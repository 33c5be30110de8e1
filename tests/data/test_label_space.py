"""The label spaces that come with alseg and the way between them."""

import numpy as np
import pytest

from alseg.data import LabelSpace, available_label_spaces, load_label_space
from alseg.errors import DatasetError

# From the label definitions that Cityscapes publishes, in the order of the train ids.
CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}


def test_cityscapes_is_as_published():
    space = load_label_space("cityscapes19")
    assert dict(zip(space.classes, space.colors, strict=True)) == CITYSCAPES
    assert space.classes == tuple(CITYSCAPES)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("synthia16", {"terrain", "truck", "train"}),
        ("synthia13", {"terrain", "truck", "train", "wall", "fence", "pole"}),
    ],
)
def test_synthia_leaves_classes_out_and_keeps_order_and_colours(name, left_out):
    space = load_label_space(name)
    kept = [(key, color) for key, color in CITYSCAPES.items() if key not in left_out]
    assert list(zip(space.classes, space.colors, strict=True)) == kept


def test_camvid_has_the_order_of_its_label_files(shared):
    readme = (shared / "data" / "camvid" / "README.md").read_text()
    listed = ", ".join(f"{i} {name}" for i, name in enumerate(load_label_space("camvid11").classes))
    assert listed in readme


def test_the_13_classes_are_a_subset_of_the_16_by_id():
    sixteen, thirteen = load_label_space("synthia16"), load_label_space("synthia13")
    assert sixteen.ids(thirteen.classes) == [0, 1, 2, *range(6, 16)]


@pytest.mark.parametrize("name", available_label_spaces())
def test_classes_and_colours_are_distinct(name):
    space = load_label_space(name)
    assert len(set(space.colors)) == len(space)
    assert {target for _, target in space.aliases} <= set(space.classes)


def test_the_palette_draws_void_in_black():
    space = load_label_space("camvid11")
    assert space.palette.shape == (256, 3)
    assert tuple(space.palette[3]) == (128, 64, 128)
    assert not space.palette[11:].any()


def test_classes_missing_from_the_other_space_become_void():
    table = load_label_space("cityscapes19").table_to(load_label_space("synthia16"))
    assert table[:19].tolist() == [*range(9), 255, 9, 10, 11, 12, 255, 13, 255, 14, 15]
    assert (table[19:] == 255).all()


def test_other_names_for_a_class_are_known():
    cityscapes, camvid = load_label_space("cityscapes19"), load_label_space("camvid11")
    to_camvid = {
        name: camvid.classes[i]
        for name, i in zip(cityscapes.classes, cityscapes.table_to(camvid), strict=False)
        if i != 255
    }
    assert to_camvid["vegetation"] == "tree"
    assert to_camvid["sidewalk"] == "pavement"
    assert to_camvid["rider"] == to_camvid["bicycle"] == "bicyclist"
    assert "terrain" not in to_camvid
    back = camvid.table_to(cityscapes)
    assert back[camvid.classes.index("tree")] == cityscapes.classes.index("vegetation")
    assert back[camvid.classes.index("bicyclist")] == 255


def test_spaces_without_a_common_class_are_an_error():
    yard = LabelSpace("yard", ("floor",), ((0, 0, 0),))
    with pytest.raises(DatasetError, match="'camvid11' shares no class with 'yard'"):
        yard.table_to(load_label_space("camvid11"))


def test_every_space_maps_to_itself_unchanged():
    for name in available_label_spaces():
        space = load_label_space(name)
        assert np.array_equal(space.table_to(space)[: len(space)], np.arange(len(space)))


def test_an_unknown_space_gets_a_hint():
    with pytest.raises(DatasetError, match="Did you mean 'cityscapes19'"):
        load_label_space("cityscape19")


def test_an_unknown_class_is_named():
    with pytest.raises(DatasetError, match="no class 'tram'"):
        load_label_space("camvid11").ids(["car", "tram"])


def test_impossible_spaces_are_refused():
    with pytest.raises(DatasetError, match="0 classes"):
        LabelSpace("none", (), ())
    with pytest.raises(DatasetError, match="255 classes"):
        LabelSpace("many", tuple(map(str, range(255))), ((0, 0, 0),) * 255)
    with pytest.raises(DatasetError, match="'a' more than once"):
        LabelSpace("twice", ("a", "a"), ((0, 0, 0),) * 2)
    with pytest.raises(DatasetError, match="2 classes but 1 colours"):
        LabelSpace("bare", ("a", "b"), ((0, 0, 0),))

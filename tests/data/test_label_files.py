"""The numbers that a label file stands for, after what picture editors make of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.helpers import trees
from tests.helpers.trees import png, write_png16

from alseg.data import open_dataset
from alseg.data.label_files import read_label
from alseg.errors import DatasetError

NINETEEN = [*range(19), 255]
EVERY_BYTE = range(256)


def write_palette(path, indices, palette, bits=8):
    """Write indices and the colours that they show, each a grey level or a triple."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(indices, dtype=np.uint8), mode="P")
    triples = [(entry,) * 3 if np.isscalar(entry) else entry for entry in palette]
    image.putpalette(bytes(part for triple in triples for part in triple))
    image.save(path, bits=bits)


def write_few_bits(path, stored, bits):
    """Write a grey PNG of 1, 2 or 4 bits per pixel by the format's definition."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.asarray(stored, dtype=np.uint8)
    spread = np.unpackbits(stored[..., None], axis=2)[..., -bits:]
    path.write_bytes(png(stored.shape, bits, 0, np.packbits(spread.reshape(len(stored), -1), 1)))


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 255), min_size=6, max_size=6), data=st.data())
def test_grey_levels_survive_however_an_editor_numbers_them(tmp_path_factory, values, data):
    path = tmp_path_factory.mktemp("labels") / "a.png"
    array = np.array(values, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(array).save(path)
    assert np.array_equal(read_label(path, EVERY_BYTE), array)
    # An editor lists the levels that occur, in any order, and stores positions in that list.
    levels = data.draw(st.permutations(sorted({*values, 3})))
    write_palette(path, np.vectorize(levels.index)(array), levels)
    assert np.array_equal(read_label(path, [*values]), array)


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_a_palette_of_colours_means_its_indices(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("labels") / "a.png"
    array = np.array(values).reshape(2, 3)
    write_palette(path, array, [(255 - level, level, 9) for level in range(256)])
    assert np.array_equal(read_label(path, EVERY_BYTE), array)


def test_the_grey_entries_of_a_palette_with_colours_are_indices_too(tmp_path):
    # As in PASCAL VOC, where car, class 7, is shown in middle grey.
    palette = [(index % 2 * 128, index // 2 % 2 * 128, index // 4 * 128) for index in range(8)]
    write_palette(tmp_path / "a.png", [[0, 7, 7]], palette)
    assert read_label(tmp_path / "a.png", range(256)).tolist() == [[0, 7, 7]]


@pytest.mark.parametrize(
    ("palette", "indices", "allowed", "right"),
    [
        pytest.param([5, 0, 255], [0, 1, 2], NINETEEN, [5, 0, 255], id="order of appearance"),
        pytest.param([0, 1, 255], [0, 1, 2], NINETEEN, [0, 1, 255], id="sorted, void last"),
        pytest.param([255, 0], [0, 1], NINETEEN, [255, 0], id="void first"),
        pytest.param([2, 1, 0], [0, 1, 2], range(3), [2, 1, 0], id="backwards"),
        pytest.param([7, 9, 0, 0, 0, 0], [0, 1, 2], NINETEEN, [7, 9, 0], id="filled up with black"),
        pytest.param([9, 7, 0], [0, 1, 2], NINETEEN, [9, 7, 0], id="black last"),
        pytest.param([0, 85, 170, 255], [0, 1, 3], range(4), [0, 1, 3], id="shades for the eye"),
        pytest.param([0, 128, 255], [0, 1, 2], [0, 1, 2, 255], [0, 1, 2], id="three shades"),
        pytest.param([0, 128, 255], [0, 1, 2], [0, 128, 255], [0, 128, 255], id="shades mapped"),
        pytest.param([0, 255], [0, 1, 1], [0, 1], [0, 1, 1], id="white is 1"),
        pytest.param([0, 255], [0, 1, 1], [0, 255], [0, 255, 255], id="white is 255"),
        pytest.param([0] * 20, [0, 4, 19], range(20), [0, 4, 19], id="all black"),
        pytest.param([0] * 20, [4, 4, 4], range(20), [4, 4, 4], id="all black, one class"),
    ],
)
def test_a_palette_of_greys_means_what_the_mapping_allows(
    palette, indices, allowed, right, tmp_path
):
    write_palette(tmp_path / "a.png", [indices], palette)
    assert read_label(tmp_path / "a.png", allowed).tolist() == [right]


def test_a_stray_grey_level_is_not_taken_for_its_index(tmp_path):
    # Levels 0, 1 and a slip of the brush; as indices they would be three classes.
    write_palette(tmp_path / "a.png", [[0, 1, 2]], [0, 1, 77])
    assert read_label(tmp_path / "a.png", NINETEEN).tolist() == [[0, 1, 77]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_mean_numbers_or_levels_as_the_mapping_allows(bits, tmp_path):
    stored = np.arange(32).reshape(4, 8) % 2**bits
    # The PNG specification scales samples linearly: the largest is white.
    shown = stored * 255 // (2**bits - 1)
    path = tmp_path / "a.png"
    write_few_bits(path, stored, bits)
    assert np.array_equal(read_label(path, range(2**bits)), stored)
    assert np.array_equal(read_label(path, np.unique(shown)), shown)
    with pytest.raises(DatasetError, match=r"stores 0, 1.*and shows 0, \d.*Save it as 8-bit grey"):
        read_label(path, EVERY_BYTE)
    write_palette(path, stored, [(level, 0, 9) for level in range(2**bits)], bits)
    assert np.array_equal(read_label(path, EVERY_BYTE), stored)


def test_black_of_few_bits_is_0_either_way(tmp_path):
    write_few_bits(tmp_path / "a.png", np.zeros((2, 8)), 1)
    assert not read_label(tmp_path / "a.png", EVERY_BYTE).any()


def test_sixteen_bit_labels_keep_their_numbers(tmp_path):
    values = np.array([[0, 300], [65535, 7]])
    write_png16(tmp_path / "a.png", values[..., None])
    assert np.array_equal(read_label(tmp_path / "a.png", ()), values)


def test_transparency_of_one_number_changes_none(tmp_path):
    grey = np.array([[0, 1, 2]], dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=1)
    assert np.array_equal(read_label(tmp_path / "a.png", NINETEEN), grey)
    image = Image.fromarray(grey, mode="P")
    image.putpalette([9, 9, 9, 4, 4, 4, 1, 1, 1])
    image.save(tmp_path / "b.png", transparency=b"\0\x80\xff")
    assert read_label(tmp_path / "b.png", NINETEEN).tolist() == [[9, 4, 1]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_several_channels_are_refused(mode, tmp_path):
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=rf"mode {mode};.*export class numbers"):
        read_label(tmp_path / "a.png", NINETEEN)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 100}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("TIFF", {})],
)
def test_other_formats_under_the_ending_of_png_are_refused(kind, options, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png", format=kind, **options)
    with pytest.raises(DatasetError, match=rf"holds {kind} data.*has to be a PNG"):
        read_label(tmp_path / "a.png", NINETEEN)


@pytest.fixture
def described(tmp_path):
    """Write a description of masks, one per split and row of the table, and open train."""

    def opened(masks, classes=("background", "nucleus"), mapping=None, write=None):
        for number, mask in enumerate(masks):
            mask = np.asarray(mask, dtype=np.uint8)
            trees.write_image(tmp_path / f"images/train/{number}.jpg", mask.shape)
            (write or trees.write_grey_label)(tmp_path / f"labels/train/{number}.png", mask)
        lines = ["images: images", "labels: labels", f"classes: [{', '.join(classes)}]"]
        (tmp_path / "data.yaml").write_text("\n".join([*lines, *([mapping] if mapping else [])]))
        return open_dataset(f"folder:{tmp_path / 'data.yaml'}", "train")

    return opened


WHITE_ON_BLACK = [[0, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize("classes", [("background", "nucleus"), ("a", "b", "c"), ("nucleus",)])
def test_masks_of_black_and_white_need_a_mapping(classes, described):
    dataset = described([np.zeros((2, 3)), WHITE_ON_BLACK], classes)
    assert not dataset.label(0).any()
    with pytest.raises(DatasetError, match=r"255 is void. If it is a class, write `mapping: {"):
        dataset.label(1)


def test_the_mapping_that_the_refusal_shows_is_right(described):
    with pytest.raises(DatasetError) as refusal:
        described([WHITE_ON_BLACK]).label(0)
    as_class, as_void = [part for part in str(refusal.value).split("`") if "{" in part]
    assert as_class == "mapping: {0: background, 255: nucleus}"
    label = described([WHITE_ON_BLACK], mapping=as_class).label(0)
    assert label.tolist() == [[0, 1, 1], [0, 0, 1]]
    label = described([WHITE_ON_BLACK], mapping=as_void).label(0)
    assert label.tolist() == WHITE_ON_BLACK


def test_void_in_one_label_is_meant_where_another_holds_a_class(described):
    dataset = described([WHITE_ON_BLACK, [[0, 1, 0]]])
    assert dataset.label(0).tolist() == WHITE_ON_BLACK


ONE_OR_WHITE = ("mapping: {0: background, 1: nucleus}", "mapping: {0: background, 255: nucleus}")


def test_masks_of_one_bit_follow_the_mapping_or_are_refused(described):
    def one_bit(path, mask):
        write_few_bits(path, mask > 0, 1)

    for mapping in ONE_OR_WHITE:
        label = described([WHITE_ON_BLACK], mapping=mapping, write=one_bit).label(0)
        assert label.tolist() == [[0, 1, 1], [0, 0, 1]]
    for mapping in (None, "mapping: {0: background, 1: nucleus, 255: void}"):
        with pytest.raises(DatasetError, match=r"Write `mapping: {0: background, 255: nucleus}`"):
            described([WHITE_ON_BLACK], mapping=mapping, write=one_bit).label(0)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_label_turned_apart_from_its_image_is_refused(orientation, described, tmp_path):
    dataset = described([[[0, 1, 0]] * 3])
    exif = Image.Exif()
    exif[0x0112] = orientation
    label = Image.fromarray(np.eye(3, dtype=np.uint8))
    label.save(tmp_path / "labels/train/0.png", exif=exif)
    with pytest.raises(DatasetError, match=r"labels/train/0\.png turn it .*orientation 1\."):
        dataset.label(0)
    Image.new("RGB", (3, 3)).save(tmp_path / "images/train/0.jpg", exif=exif)
    assert dataset.label(0).tolist() == np.asarray(turned(label, orientation)).tolist()


def turned(image, orientation):
    """Turn a picture as it is looked at, by Pillow's names of the turns."""
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 6: "ROTATE_270", 8: "ROTATE_90"}
    return image.transpose(Image.Transpose[turns[orientation]])

"""Images of more than 8 bits per channel: none turns black, and a data set has one range."""

import pickle
import struct
import sys
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from tests.helpers.trees import write_four_channels, write_image, write_png16, write_tiff

from alseg.data import describe, format_table, open_dataset
from alseg.data.channels import read_any_header, read_channels
from alseg.data.transforms import TrainTransform, eval_transform
from alseg.data.value_range import ValueRange, range_of, read_image, read_pixels
from alseg.errors import DatasetError

GREY8 = np.array([[0, 1, 100], [7, 254, 255]])


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        pytest.param(GREY8.astype(np.uint16), "png", id="8 bits in a 16-bit PNG"),
        pytest.param(GREY8.astype(np.uint16), 1, id="8 bits in a 16-bit TIFF"),
        pytest.param(GREY8.astype(np.int16), 2, id="8 bits in a signed 16-bit TIFF"),
        pytest.param(GREY8.astype(np.int32), 2, id="8 bits in an int32 TIFF"),
        pytest.param(GREY8.astype(np.float32), 3, id="8 bits in a float TIFF"),
        pytest.param(GREY8.astype(np.float32) / 255, 3, id="0 to 1 in a float TIFF"),
        pytest.param((GREY8 * 257).astype(np.uint16), "png", id="all 16 bits"),
        pytest.param((GREY8 * 16).astype(np.uint16), "png", id="12 bits"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_largest_value_becomes_white_whatever_the_container(stored, kind, channels, tmp_path):
    stored = np.repeat(stored[..., None], channels, axis=2)
    path = tmp_path / f"a.{'png' if kind == 'png' else 'tif'}"
    if kind == "png":
        write_png16(path, stored)
    else:
        write_tiff(path, stored, kind)
    assert np.array_equal(read_image(path), np.repeat(GREY8[..., None], 3, axis=2))


@pytest.mark.parametrize(("dtype", "kind"), [("u1", 1), ("u2", 1), ("i2", 2), ("f4", 3)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 13])
def test_a_tiff_of_any_channels_gives_what_it_stores_and_is_turned_once(
    channels, dtype, kind, tmp_path
):
    if channels not in (1, 3, 4):
        pytest.importorskip("tifffile")
    stored = np.arange(12 * channels).reshape(3, 4, channels).astype(dtype)
    for orientation, shown in ((1, stored), (6, np.rot90(stored, -1)), (3, stored[::-1, ::-1])):
        write_tiff(tmp_path / "a.tif", stored, kind, orientation)
        found = read_channels(tmp_path / "a.tif")
        assert np.array_equal(found, shown)
        assert found.dtype.kind == np.dtype(dtype).kind
        header = read_any_header(tmp_path / "a.tif")
        assert (header.height, header.width, header.channels) == shown.shape
        assert header.deep == (dtype != "u1")


def test_planes_one_after_the_other_are_channels_too(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    tifffile.imwrite(tmp_path / "a.tif", values, planarconfig="separate", photometric="minisblack")
    assert np.array_equal(read_channels(tmp_path / "a.tif"), np.moveaxis(values, 0, -1))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_colours_give_what_is_stored_in_one_plane_or_in_several(
    channels, compression, dtype, tmp_path, capfd
):
    tifffile = pytest.importorskip("tifffile")
    numbers = np.arange(6 * 7 * channels).reshape(6, 7, channels)
    values = ((numbers - (60 if dtype[0] in "if" else 0)) * (1 if dtype[1] == "1" else 250)).astype(
        dtype
    )
    path, scale = tmp_path / "a.tif", ValueRange(-15_000, 45_000)
    for layout in ("separate", "contig"):
        stored = np.moveaxis(values, -1, 0) if layout == "separate" else values
        tifffile.imwrite(
            path, stored, photometric="rgb", planarconfig=layout, compression=compression
        )
        assert np.array_equal(read_channels(path), values)
        assert read_any_header(path).deep == (dtype != "u1")
        seen = read_pixels(path, scale)
        if dtype == "u1":
            assert np.array_equal(seen, values[..., :3])
        else:
            expected = (values[..., :3].astype(np.float64) + 15_000) / 60_000
            assert np.abs(seen - expected).max() < 1e-6
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("dtype", ["i1", "u4", "f2", "f8"])
def test_grey_of_rare_numbers_gives_what_is_stored(dtype, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    ends = [-128, 127] if dtype == "i1" else [0, 2**32 - 1] if dtype == "u4" else [-0.5, 1000]
    values = np.array([ends, [3, 7]]).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], values)
    low, high = float(values.min()), float(values.max())
    expected = (values.astype(np.float64) - low) / (high - low)
    for channel in np.moveaxis(read_pixels(tmp_path / "a.tif", ValueRange(low, high)), -1, 0):
        assert np.abs(channel - expected).max() < 1e-6


def test_channels_that_are_no_colours_are_to_be_asked_for(tmp_path):
    pytest.importorskip("tifffile")
    write_tiff(tmp_path / "a.tif", np.ones((2, 3, 5), np.uint16), 1)
    with pytest.raises(DatasetError, match=r"a\.tif has 5 channels .* `channels: 5`"):
        read_pixels(tmp_path / "a.tif")


def test_transparency_of_16_bits_is_a_channel_where_channels_are_asked_for(tmp_path):
    values = np.arange(24).reshape(2, 3, 4) * 2000
    write_png16(tmp_path / "rgba.png", values)
    write_png16(tmp_path / "la.png", values[..., :2])
    assert np.array_equal(read_channels(tmp_path / "rgba.png"), values)
    assert np.array_equal(read_channels(tmp_path / "la.png"), values[..., :2])
    # Without, it is dropped as always.
    shares = read_pixels(tmp_path / "rgba.png", ValueRange(0, 50_000))
    assert np.allclose(shares, values[..., :3] / 50_000, atol=1e-7)


def test_a_ramp_of_16_bits_reaches_the_network_at_full_precision(tmp_path):
    ramp = np.arange(4096).reshape(64, 64)
    values = np.stack([ramp, 2 * ramp, 4095 - ramp], axis=2)
    write_png16(tmp_path / "images/train/0.png", values)
    (tmp_path / "mine.yaml").write_text("images: images\nclasses: [a, b]\nscale: [0, 8190]")
    image = open_dataset(f"folder:{tmp_path / 'mine.yaml'}", "train").image(0)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((values / 8190 - mean) / deviation).transpose(2, 0, 1)
    trained = TrainTransform(None, augment="none")(image, np.zeros((64, 64), np.uint8), 0)
    for seen in (eval_transform(image, None), trained["image"]):
        assert seen.dtype == torch.float32
        assert np.abs(seen.numpy() - expected).max() < 1e-6
        assert all(len(channel.unique()) == 4096 for channel in seen)


def test_each_channel_has_a_scale_of_its_own_and_those_that_are_no_colours_one_norm(tmp_path):
    spec = write_four_channels(tmp_path, "mine")
    dataset = open_dataset(spec, "train")
    stored = read_channels(tmp_path / "mine/images/train/0.tif")
    shares = stored / np.array([5000, 5000, 5000, 4500])
    assert dataset.channels == 4
    assert np.abs(dataset.image(0) - shares).max() < 1e-7
    seen = eval_transform(dataset.image(0), None).numpy()
    assert np.abs(seen - (shares.transpose(2, 0, 1) - 0.5) / 0.25).max() < 1e-6
    assert dataset.display(0).dtype == np.uint8
    assert np.abs(dataset.display(0) - 255 * shares[..., :3]).max() < 0.501


def test_an_image_with_another_number_of_channels_is_refused_by_its_header(tmp_path):
    spec = write_four_channels(tmp_path, "mine")
    path = tmp_path / "mine/images/train/1.tif"
    write_tiff(path, np.zeros((48, 64, 3), np.uint16), 1)
    dataset = open_dataset(spec, "train")
    assert dataset.size(0) == (48, 64)
    for look in (dataset.size, dataset.image, dataset.display):
        with pytest.raises(DatasetError, match=r"1\.tif has 3 channels; images of 4 channels are"):
            look(1)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("channels: 4\nscale: [[0, 1], [0, 1]]", "`scale` in .* has 2 pairs, but .* 4 channels"),
        ("scale: [[0, 1]]", "`scale` in .* has 1 pairs, but .* 3 channels"),
        ("channels: 4\nscale: [[0, 1], [2, 1], [0, 1], [0, 1]]", "or such a pair for each"),
        ("channels: 0", "`channels` in .* is 0; write how many"),
        ("channels: RGB", "`channels` in .* is 'RGB'"),
    ],
)
def test_channels_and_scales_that_contradict_are_refused(written, words, tmp_path):
    write_png16(tmp_path / "images/train/0.png", np.zeros((2, 2, 1)))
    (tmp_path / "mine.yaml").write_text(f"images: images\nclasses: [a, b]\n{written}")
    with pytest.raises(DatasetError, match=words):
        open_dataset(f"folder:{tmp_path / 'mine.yaml'}", "train")


@pytest.mark.parametrize("channels", [4, 5])
def test_a_tiff_that_is_cut_off_is_refused(channels, tmp_path):
    stored = np.ones((40, 40, channels), np.float32)
    write_tiff(tmp_path / "a.tif", stored, 3)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:100])
    with pytest.raises(DatasetError, match=r"a\.tif"):
        read_channels(tmp_path / "a.tif")
    # A strip that the tags say is longer than the file.
    longer = content.replace(
        (279).to_bytes(2, "little") + b"\4\0\1\0\0\0" + stored.nbytes.to_bytes(4, "little"),
        (279).to_bytes(2, "little") + b"\4\0\1\0\0\0" + (10**6).to_bytes(4, "little"),
    )
    (tmp_path / "a.tif").write_bytes(longer)
    with pytest.raises(DatasetError, match=r"a\.tif is truncated"):
        read_channels(tmp_path / "a.tif")


def test_without_tifffile_the_package_is_named(tmp_path, monkeypatch):
    write_tiff(tmp_path / "a.tif", np.ones((2, 3, 5), np.uint16), 1)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(DatasetError, match=r"5 channels .*`pip install tifffile`"):
        read_channels(tmp_path / "a.tif")


def test_the_order_of_deep_colours_is_kept_and_their_transparency_dropped(tmp_path):
    values = np.array([[[4095, 0, 0], [0, 4095, 0], [0, 0, 4095]]], dtype=np.uint16)
    write_png16(tmp_path / "a.png", values)
    write_tiff(tmp_path / "a.tif", values, 1)
    for name in ("a.png", "a.tif"):
        assert np.array_equal(read_image(tmp_path / name), values // 4095 * 255)
    grey_and_alpha = np.array([[[0, 9], [4095, 65535]]], dtype=np.uint16)
    write_png16(tmp_path / "la.png", grey_and_alpha)
    assert read_image(tmp_path / "la.png").tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_deep_images_are_turned_once(orientation, channels, tmp_path):
    shown = np.arange(12 * channels).reshape(3, 4, channels) * 255 // (12 * channels - 1)
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.swapaxes(0, 1),
        6: np.rot90(shown, 1),
        7: np.rot90(shown, 2).swapaxes(0, 1),
        8: np.rot90(shown, -1),
    }[orientation]
    write_tiff(tmp_path / "a.tif", np.ascontiguousarray(stored).astype(np.uint16), 1, orientation)
    expected = np.broadcast_to(shown, (3, 4, 3))
    assert np.array_equal(read_image(tmp_path / "a.tif"), expected)
    write_png16(tmp_path / "a.png", np.ascontiguousarray(stored))
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6)
    add_chunk(tmp_path / "a.png", b"eXIf", exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)


def add_chunk(path, kind, body):
    """Put a chunk behind a PNG's header."""
    content = path.read_bytes()
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(content[:33] + chunk + content[33:])


def test_nan_and_infinities_are_left_out_of_the_range(tmp_path):
    values = np.array([[0, 1, np.nan], [np.inf, -np.inf, 0.5]], dtype=np.float32)
    write_tiff(tmp_path / "a.tif", values[..., None], 3)
    assert range_of((tmp_path / "a.tif",)) == ValueRange(0, 1)
    assert read_image(tmp_path / "a.tif")[..., 0].tolist() == [[0, 255, 0], [255, 0, 128]]


@pytest.mark.parametrize("value", [0, np.nan])
def test_an_image_without_a_value_is_black(value, tmp_path):
    write_tiff(tmp_path / "a.tif", np.full((2, 2, 1), value, dtype=np.float32), 3)
    assert range_of((tmp_path / "a.tif",)) is None
    assert not read_image(tmp_path / "a.tif").any()


@given(
    values=arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=4)),
    more=arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=4)),
    data=st.data(),
)
def test_scaling_keeps_the_order_of_values_across_images(values, more, data):
    ranges = [own for own in map(ValueRange.of, (values, more)) if own]
    if not ranges:
        return
    whole = ranges[0].union(ranges[-1])
    before = np.concatenate([values.ravel(), more.ravel()])
    order = np.argsort(before)
    after = np.concatenate([whole.shares(values).ravel(), whole.shares(more).ravel()])
    assert (np.diff(after[order]) >= 0).all()
    assert after.max() == (1 if before.max() == whole.high else after.max())


def write_set(root, scale=None, train=(100, 4095), test=1000):
    """Write 12-bit images whose brightest pixel differs, and their description."""
    for number, top in enumerate(train):
        write_png16(root / f"images/train/{number}.png", np.array([[[0], [top]]]))
    write_png16(root / "images/test/0.png", np.array([[[0], [test]]]))
    lines = ["images: images", "classes: [a, b]", *([f"scale: {scale}"] if scale else [])]
    (root / "mine.yaml").write_text("\n".join(lines))
    return f"folder:{root / 'mine.yaml'}"


def test_one_range_holds_for_all_images_of_all_splits(tmp_path):
    spec = write_set(tmp_path)
    train, test = open_dataset(spec, "train"), open_dataset(spec, "test")
    # Round halves to even: 100, 4095 and 1000 of 4095.
    assert [train.display(index)[0, 1, 0] for index in (0, 1)] == [6, 255]
    assert test.display(0)[0, 1, 0] == 62
    # In any order and in any process, as ranks and loading processes read them.
    fresh = open_dataset(spec, "train")
    assert pickle.loads(pickle.dumps(fresh)).display(0)[0, 1, 0] == 6
    assert fresh.display(0)[0, 1, 0] == 6


def test_the_range_is_known_before_an_image_is_decoded_whichever_comes_first(tmp_path):
    spec = write_set(tmp_path)
    write_image(tmp_path / "images/train/-.png", (1, 2))
    fresh = open_dataset(spec, "train")
    assert fresh.ids[0] == "-"
    assert fresh.values is not None
    assert fresh.values.written == [0, 4095]


def test_a_scale_is_taken_as_written_and_holds_every_value(tmp_path):
    spec = write_set(tmp_path, "[0, 65535]")
    assert open_dataset(spec, "train").display(1)[0, 1, 0] == round(4095 / 257)
    dataset = open_dataset(write_set(tmp_path, "[0, 4000]"), "train")
    assert dataset.display(0)[0, 1, 0] == 6
    with pytest.raises(DatasetError, match=r"1\.png has values such as 4095.*`scale` of 0 to 4000"):
        dataset.image(1)


@pytest.mark.parametrize("scale", ["4095", "[4095]", "[9, 9]", "[5, 1]", "[0, .nan]", "[no, yes]"])
def test_a_scale_that_is_no_range_is_refused(scale, tmp_path):
    with pytest.raises(DatasetError, match=r"`scale` in .*mine\.yaml.*such as \[0, 4095\]"):
        open_dataset(write_set(tmp_path, scale), "train")


def test_eight_bits_are_never_scaled(tmp_path):
    spec = write_set(tmp_path, "[0, 65535]")
    Image.fromarray(np.array([[3, 200]], dtype=np.uint8)).save(tmp_path / "images/train/0.png")
    assert open_dataset(spec, "train").image(0)[0, :, 0].tolist() == [3, 200]


def test_the_look_at_the_data_names_the_range(tmp_path):
    text = format_table([describe(open_dataset(write_set(tmp_path), "train"))])
    assert "values are scaled from 0 to 4095 to 0 to 1" in text
    assert "`scale: [0, 4095]` keeps it so" in text


def test_published_data_of_more_than_eight_bits_are_refused(tmp_path):
    write_png16(tmp_path / "images/00001.png", np.array([[[0], [9]]]))
    with pytest.raises(DatasetError, match="gtav train has images of more than 8 bits"):
        open_dataset(f"gtav:{tmp_path}", "train").image(0)


def test_an_unreadable_image_does_not_count(tmp_path):
    spec = write_set(tmp_path)
    (tmp_path / "images/train/0.png").write_bytes(b"damaged")
    dataset = open_dataset(spec, "train")
    summary = describe(dataset)
    assert len(summary.problems) == 1
    assert summary.values == ValueRange(0, 4095)
    assert dataset.display(1)[0, 1, 0] == 255


def test_images_of_eight_bits_have_no_range(tmp_path):
    write_image(tmp_path / "a.png")
    assert range_of((tmp_path / "a.png",)) is None

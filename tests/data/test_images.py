"""Photographs and label files of every kind that users bring."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.trees import png, write_png16

from alseg.data.images import image_size, read_image, read_indices
from alseg.errors import DatasetError

QUADRANTS = np.zeros((20, 30, 3), dtype=np.uint8)
QUADRANTS[:10, :15] = (250, 5, 5)
QUADRANTS[:10, 15:] = (5, 250, 5)
QUADRANTS[10:, :15] = (5, 5, 250)
QUADRANTS[10:, 15:] = (250, 250, 250)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_lossless_rgb_comes_back_unchanged(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(QUADRANTS).save(path, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(read_image(path), QUADRANTS)
    assert image_size(path) == (20, 30)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA", "YCbCr"])
def test_other_modes_become_rgb(mode, tmp_path):
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    black_and_white = np.where(QUADRANTS[..., :1] > 100, 255, 0).astype(np.uint8).repeat(3, axis=2)
    Image.fromarray(black_and_white).convert(mode).save(path)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - black_and_white).max() <= 2


def test_sixteen_bits_keep_the_upper_eight(tmp_path):
    grey = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    write_png16(tmp_path / "grey.png", grey[..., None])
    write_png16(tmp_path / "rgb.png", np.repeat(grey[..., None], 3, axis=2))
    expected = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert np.array_equal(read_image(tmp_path / "grey.png"), expected)
    assert np.array_equal(read_image(tmp_path / "rgb.png"), expected)


def test_floating_point_values_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DatasetError, match="floating-point"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_the_camera_s_note_turns_image_and_size_alike(orientation, ending, tmp_path):
    # How each is stored, from the EXIF standard's words on the 0th row and column.
    stored = {
        1: QUADRANTS,
        2: QUADRANTS[:, ::-1],
        3: QUADRANTS[::-1, ::-1],
        4: QUADRANTS[::-1],
        5: QUADRANTS.transpose(1, 0, 2),
        6: np.rot90(QUADRANTS, 1),
        7: np.rot90(QUADRANTS, 2).transpose(1, 0, 2),
        8: np.rot90(QUADRANTS, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    quality = {"quality": 100, "subsampling": 0} if ending == "jpg" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **quality)
    assert image_size(path) == (20, 30)
    image = read_image(path).astype(int)
    assert image.shape == (20, 30, 3)
    # JPEG blurs where the colours meet.
    assert np.median(np.abs(image - QUADRANTS)) <= 4
    assert np.abs(image - QUADRANTS)[[0, 0, -1, -1], [0, -1, 0, -1]].max() <= 10


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(content, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for read in (image_size, read_image, read_indices):
        with pytest.raises(DatasetError, match=r"a\.png cannot be read as an image"):
            read(path)


def test_a_file_that_disappeared_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.png is gone"):
        read_image(tmp_path / "a.png")


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_palette_and_grey_labels_give_their_numbers(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("labels") / "a.png"
    array = np.array(values, dtype=np.uint8).reshape(2, 3)
    grey = Image.fromarray(array)
    grey.save(path)
    assert np.array_equal(read_indices(path), array)
    grey.putpalette(bytes(range(255, -1, -1)) * 3)
    assert grey.mode == "P"
    grey.save(path)
    assert np.array_equal(read_indices(path), array)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_few_bits_give_their_numbers(bits, tmp_path):
    path = tmp_path / "a.png"
    array = (np.arange(32).reshape(4, 8) % 2**bits).astype(np.uint8)
    image = Image.fromarray(array)
    image.putpalette(bytes(range(256)) * 3)
    image.save(path, bits=bits)
    assert np.array_equal(read_indices(path), array)
    packed = np.packbits(
        np.unpackbits(array[..., None], axis=2)[..., -bits:].reshape(len(array), -1), axis=1
    )
    path.write_bytes(png(array.shape, bits, 0, packed))
    assert np.array_equal(read_indices(path), array)


def test_sixteen_bit_labels_keep_their_numbers(tmp_path):
    values = np.array([[0, 300], [65535, 7]])
    write_png16(tmp_path / "a.png", values[..., None])
    assert np.array_equal(read_indices(tmp_path / "a.png"), values)


def test_labels_as_colours_are_refused(tmp_path):
    Image.fromarray(QUADRANTS).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"mode RGB.*export class numbers"):
        read_indices(tmp_path / "a.png")

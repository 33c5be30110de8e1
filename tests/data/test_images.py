"""Photographs and label files of every kind that users bring."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from alseg.data.channels import image_size
from alseg.data.label_files import read_label
from alseg.data.value_range import read_image
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
    for read in (image_size, read_image, partial(read_label, allowed=())):
        with pytest.raises(DatasetError, match=r"a\.png cannot be read as an image"):
            read(path)


def test_a_file_that_disappeared_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.png is gone"):
        read_image(tmp_path / "a.png")

"""Pictures from outside: the documented formats, upright, and refused in one sentence."""

import ast
import io
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from alseg.data.channels import image_size
from alseg.data.images import open_picture, read_header
from alseg.data.label_files import read_label
from alseg.data.value_range import read_image
from alseg.errors import DatasetError

SRC = Path(__file__).parents[2] / "src"
READERS = (image_size, read_image, partial(read_label, allowed=()))
LEFT_DARK = np.zeros((6, 10), dtype=np.uint8)
LEFT_DARK[:, 5:] = 200


def test_pillow_is_given_formats_wherever_it_opens_a_picture():
    opened = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "open"
                and ast.unparse(node.func.value) in ("Image", "PIL.Image")
            ):
                opened.add(path.relative_to(SRC).as_posix())
                assert "formats" in {keyword.arg for keyword in node.keywords}, (path, node.lineno)
    assert "alseg/data/images.py" in opened


@pytest.mark.parametrize("read", READERS)
def test_postscript_under_another_name_starts_no_interpreter(read, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **named: started.append(1))
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path, format="EPS")
    with pytest.raises(DatasetError, match=r"a\.png cannot be read as an image"):
        read(path)
    assert not started


@pytest.mark.parametrize("kind", ["GIF", "PPM", "TGA", "ICO", "PCX", "JPEG2000", "PDF", "SGI"])
def test_a_format_that_is_not_documented_is_refused(kind, tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(path, format=kind)
    for read in READERS:
        with pytest.raises(DatasetError, match="cannot be read as an image"):
            read(path)


def test_a_picture_is_opened_from_memory_under_a_name_of_its_own():
    content = io.BytesIO()
    Image.fromarray(LEFT_DARK).save(content, format="PNG")
    assert np.array_equal(np.asarray(open_picture(content)), LEFT_DARK)
    with pytest.raises(DatasetError, match=r"the upload cannot be read.*holds PNG data"):
        open_picture(content, ["JPEG"], name="the upload")


def test_too_many_pixels_are_to_be_cut_into_tiles(tmp_path, monkeypatch):
    Image.new("L", (100, 81)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    for read in READERS:
        with pytest.raises(DatasetError, match=r"a\.png is too large.*Cut it into tiles"):
            read(tmp_path / "a.png")


@pytest.mark.filterwarnings("error")
def test_many_pixels_are_read_without_a_word(tmp_path, monkeypatch):
    Image.new("L", (100, 60)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    assert read_image(tmp_path / "a.png").shape == (60, 100, 3)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp", "webp"])
def test_half_a_file_is_refused_in_a_sentence(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match="truncated or damaged|cannot be read as an image"):
        read_image(path)


def exif_block(entries: bytes, count: int) -> bytes:
    """Build an EXIF block by the TIFF definition, big-endian, with one directory at byte 8."""
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, count) + entries + b"\0\0\0\0"


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(">HHI", tag, kind, count) + value


TURN = entry(0x0112, 3, 1, struct.pack(">HH", 6, 0))
MALFORMED = {
    "a number that is text": (exif_block(TURN + entry(0x0128, 2, 2, b"2\0\0\0"), 2), True),
    "a pointer beyond the end": (exif_block(TURN + entry(0x010F, 2, 99, b"\0\0\xff\0"), 2), True),
    "a type that does not exist": (exif_block(TURN + entry(0x010E, 77, 1, b"\0\0\0\1"), 2), True),
    "a loop of directories": (exif_block(TURN + entry(0x8769, 4, 1, b"\0\0\0\x08"), 2), True),
    "fewer tags than announced": (exif_block(TURN, 40), True),
    "an orientation in words": (exif_block(entry(0x0112, 2, 4, b"top\0"), 1), False),
    "an orientation of 9": (exif_block(entry(0x0112, 3, 1, b"\0\x09\0\0"), 1), False),
    "two orientations": (exif_block(entry(0x0112, 3, 2, b"\0\x06\0\x06"), 1), True),
    "no TIFF header": (b"Exif\0\0rubbish", False),
    "nothing": (b"Exif\0\0", False),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_exif_costs_neither_pixels_nor_a_turn_that_can_be_had(what, ending, tmp_path):
    exif, turned = MALFORMED[what]
    path = tmp_path / f"a.{ending}"
    options = {"lossless": True} if ending == "webp" else {}
    Image.fromarray(np.repeat(LEFT_DARK[..., None], 3, 2)).save(path, exif=exif, **options)
    # Orientation 6: the 0th row is the right side, so what is stored on the left comes on top.
    shown = np.rot90(LEFT_DARK, -1) if turned else LEFT_DARK
    assert image_size(path) == shown.shape
    assert np.abs(read_image(path)[..., 0].astype(int) - shown).max() <= 60
    assert read_header(path).turned == turned


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate"])
def test_a_tiff_is_turned_once_with_its_size(orientation, compression, tmp_path):
    shown = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.T,
        6: np.rot90(shown, 1),
        7: np.rot90(shown, 2).T,
        8: np.rot90(shown, -1),
    }[orientation]
    path = tmp_path / "a.tif"
    image = Image.fromarray(np.ascontiguousarray(stored))
    image.save(path, compression=compression, tiffinfo={0x0112: orientation})
    assert image_size(path) == (4, 6)
    assert np.array_equal(read_image(path)[..., 0], shown)
    assert read_header(path).turned == (orientation != 1)

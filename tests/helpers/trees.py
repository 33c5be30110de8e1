"""Tiny data trees in the layouts that publishers ship, written into a folder of the test's.

Each writer returns the spec that opens the tree. Label files hold every allowed value in stripes,
so that tests can compare against published tables of ids.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

HEIGHT, WIDTH = 12, 40


def write_image(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def stripes(values: list[int], size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Columns that go through the values, again and again."""
    return np.broadcast_to(np.resize(np.array(values), size[1]), size).copy()


def write_grey_label(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def write_palette_label(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8), mode="P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def write_png16(path: Path, channels: np.ndarray) -> None:
    """Write H×W×C as a 16-bit PNG (C: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = channels.shape
    rows = channels.astype(">u2").reshape(height, -1)
    path.write_bytes(png((height, width), 16, {1: 0, 2: 4, 3: 2, 4: 6}[count], rows))


def write_tiff(path: Path, values: np.ndarray, sample_format: int, orientation: int = 1) -> None:
    """Write H×W×C as an uncompressed TIFF by its definition (1: unsigned, 2: int, 3: float)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = values.shape
    bits = 8 * values.dtype.itemsize
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    each = struct.pack(f"<{channels}H", *[bits] * channels)
    formats = struct.pack(f"<{channels}H", *[sample_format] * channels)
    many = channels > 2
    twice = 0x10001 if channels == 2 else 1
    # What is beyond the colours of the photometric interpretation is unspecified.
    extra = channels - 3 if many else channels - 1
    unspecified = struct.pack(f"<{extra}H", *[0] * extra)
    behind = 8 + len(data)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, behind if many else bits * twice),
        (259, 3, 1, 1),
        (262, 3, 1, 2 if many else 1),
        (273, 4, 1, 8),
        (274, 3, 1, orientation),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        (339, 3, channels, behind + len(each) if many else sample_format * twice),
    ]
    if extra:
        place = behind + len(each) + len(formats) if extra > 2 else 0
        tags.insert(-1, (338, 3, extra, place))
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    start = behind + len(each) + len(formats) + len(unspecified)
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, start)
        + data
        + each
        + formats
        + unspecified
        + struct.pack("<H", len(tags))
        + directory
        + bytes(4)
    )


def write_four_channels(root: Path, name: str, seed: int = 0) -> str:
    """Write a set of three train and two test images of four channels of 16 bits, with labels."""
    generator = np.random.default_rng(seed)
    means = np.array([[500, 3000, 100, 4000], [1000, 200, 3500, 50], [1500, 900, 300, 2000]])
    for split, count in (("train", 3), ("test", 2)):
        for number in range(count):
            label = np.zeros((48, 64), dtype=np.uint8)
            label[:, 20 + 4 * number :] = 1
            label[30:] = 2
            values = means[label] + generator.integers(0, 400, (48, 64, 4))
            write_tiff(root / f"{name}/images/{split}/{number}.tif", values.astype(np.uint16), 1)
            (root / f"{name}/labels/{split}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(label).save(root / f"{name}/labels/{split}/{number}.png")
    (root / f"{name}.yaml").write_text(
        f"images: {name}/images\nlabels: {name}/labels\nclasses: [a, b, c]\nchannels: 4\n"
        "scale: [[0, 5000], [0, 5000], [0, 5000], [0, 4500]]\n"
    )
    return f"folder:{root / name}.yaml"


def png(size: tuple[int, int], bits: int, color_type: int, rows: np.ndarray) -> bytes:
    """Build a PNG by the format's definition from the bytes of its rows."""
    header = struct.pack(">IIBBBBB", size[1], size[0], bits, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def write_gtav(root: Path) -> str:
    for number in (1, 2, 3):
        write_image(root / f"images/{number:05d}.png", seed=number)
        write_palette_label(root / f"labels/{number:05d}.png", stripes(list(range(35))))
    return f"gtav:{root}"


def write_synthia(root: Path) -> str:
    for number in (0, 1):
        write_image(root / f"RGB/{number:07d}.png", seed=number)
        ids = stripes(list(range(23)))
        instances = np.full_like(ids, 7)
        label = np.stack([ids, instances, np.zeros_like(ids)], axis=2)
        write_png16(root / f"GT/LABELS/{number:07d}.png", label)
    return f"synthia:{root}"


def write_cityscapes(root: Path) -> str:
    for split, city in (("train", "aachen"), ("train", "ulm"), ("val", "lindau"), ("test", "bonn")):
        stem = f"{city}/{city}_000000_000019"
        write_image(root / f"leftImg8bit/{split}/{stem}_leftImg8bit.png")
        ids = list(range(34)) if split != "test" else [1, 3]
        write_grey_label(root / f"gtFine/{split}/{stem}_gtFine_labelIds.png", stripes(ids))
        write_image(root / f"gtFine/{split}/{stem}_gtFine_color.png")
    return f"cityscapes:{root}"


def write_acdc(root: Path) -> str:
    for condition in ("fog", "night", "rain", "snow"):
        for split in ("train", "val", "test"):
            stem = f"{condition}/{split}/GOPR0475/GOPR0475_frame_000041"
            write_image(root / f"rgb_anon/{stem}_rgb_anon.png")
            write_image(root / f"rgb_anon/{condition}/{split}_ref/GOPR0475/x_rgb_ref_anon.png")
            if split != "test":
                write_grey_label(root / f"gt/{stem}_gt_labelIds.png", stripes(list(range(34))))
                write_grey_label(root / f"gt/{stem}_gt_labelTrainIds.png", stripes([0, 255]))
    return f"acdc:{root}"


def write_camvid(root: Path) -> str:
    frames = {
        "train": ["0006R0_f00930", "0001TP_006690", "Seq05VD_f00000"],
        "val": ["0016E5_07959"],
        "test": ["0001TP_008550", "Seq05VD_f00330"],
    }
    for split, stems in frames.items():
        for stem in stems:
            write_image(root / f"images/{split}/{stem}.jpg")
            write_grey_label(root / f"labels/{split}/{stem}.png", stripes([*range(11), 255]))
    return f"camvid:{root}"


def write_folder(root: Path) -> str:
    endings = {"train": ("a.jpg", "deep/b.PNG"), "val": ("c.webp",), "test": ("d.tif",)}
    for split, names in endings.items():
        for name in names:
            write_image(root / "photos" / split / name)
            label = (root / "masks" / split / name).with_suffix(".png")
            write_grey_label(label, stripes([0, 10, 20, 30]))
    description = {
        "images": "photos",
        "labels": "masks",
        "classes": ["floor", {"name": "shelf", "color": [1, 2, 3]}],
        "mapping": {0: "void", 10: "floor", 20: "shelf", 30: "floor"},
    }
    path = root / "warehouse.yaml"
    path.write_text(yaml.safe_dump(description))
    return f"folder:{path}"


WRITERS = {
    "acdc": write_acdc,
    "camvid": write_camvid,
    "cityscapes": write_cityscapes,
    "folder": write_folder,
    "gtav": write_gtav,
    "synthia": write_synthia,
}

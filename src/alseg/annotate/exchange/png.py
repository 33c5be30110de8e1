"""Plain masks: an 8-bit PNG an image, beside a CSV of the queries with a column for the answer."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.annotate.exchange.collector import Collector
from alseg.annotate.exchange.masks import NOTHING
from alseg.annotate.exchange.outgoing import Outgoing
from alseg.annotate.exchange.source import Source
from alseg.annotate.exchange.stamp import STAMP
from alseg.annotate.exchange.table import read_table, write_table
from alseg.config.yaml_file import read_mapping, write_mapping
from alseg.data.label_space import IGNORE
from alseg.errors import ConfigError, ExchangeError, did_you_mean
from alseg.queries.asked import AskedImage, AskedRound
from alseg.queries.asked_files import TABLE
from alseg.queries.settling import paint

MASKS, CLASSES = "masks", "classes.yaml"


def write(folder: Path, outgoing: Outgoing) -> tuple[str, ...]:
    """Write ``masks/ID.png``, ``queries.csv`` and ``classes.yaml`` into a folder.

    Returns:
        The files to work on, relative to the folder.
    """
    asked = outgoing.asked
    for image in asked.images.values():
        mask = paint(asked, outgoing.answers, image.id, (image.height, image.width))
        path = folder / MASKS / f"{image.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two colours and much of one: packing harder takes twice the time.
        Image.fromarray(mask).save(path, compress_level=1)
    write_table(folder, outgoing)
    names = {"classes": list(asked.classes), "ignore": IGNORE, STAMP: str(outgoing.stamp)}
    (folder / CLASSES).write_text(write_mapping(names), encoding="utf-8")
    return (TABLE, MASKS)


def read(source: Source, collector: Collector) -> None:
    """Read a folder with ``queries.csv`` and ``masks``, or either alone, or a CSV and its masks.

    Raises:
        ExchangeError: A file cannot be used, or answers what was not asked.
    """
    if source.path.is_dir():
        table = source.path / TABLE
        masks = source.path / MASKS if (source.path / MASKS).is_dir() else source.path
    else:
        table, masks = source.path, source.path.parent / MASKS
    if not table.is_file() and masks == source.path:
        _refuse_other_exports(source.path)
    pictures = _pictures(masks) if masks.is_dir() else []
    if not table.is_file() and not pictures:
        raise ExchangeError(
            f"{source.path} holds neither {TABLE} nor PNGs of masks. Name the folder of the masks, "
            "or the file that the tool exported."
        )
    if table.is_file():
        read_table(Source(table, source.limit), collector)
    if pictures:
        _note_origin(masks, collector)
    seen: dict[str, Path] = {}
    for path in pictures:
        name = path.relative_to(masks).with_suffix("").as_posix()
        if name not in collector.asked.images:
            raise ExchangeError(
                f"{path}: nothing is asked about an image called {name!r}."
                f"{did_you_mean(name, collector.asked.images)} Name each mask as it was exported."
            )
        if name in seen:
            raise ExchangeError(f"{path} and {seen[name]} are masks of the same image. Keep one.")
        seen[name] = path
    for name, path in seen.items():
        image = collector.asked.images[name]
        collector.add_mask(image, _read_mask(path, image, collector.asked))


def _refuse_other_exports(folder: Path) -> None:
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".xml"))
    if found:
        raise ExchangeError(
            f"{folder} holds neither {TABLE} nor a folder {MASKS}, but {found[0]}. Name the file "
            "that the tool exported."
        )


def _note_origin(masks: Path, collector: Collector) -> None:
    """Take up which run masks are of, from the list of classes that was exported beside them."""
    for path in (masks / CLASSES, masks.parent / CLASSES):
        if path.is_file():
            with suppress(ConfigError):
                collector.note(read_mapping(path).get(STAMP), str(path))
            return


def _pictures(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*"))
    return [path for path in found if path.suffix.lower() == ".png" and path.is_file()]


def _read_mask(path: Path, image: AskedImage, asked: AskedRound) -> NDArray[np.int16]:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.size != (image.width, image.height):
                raise ExchangeError(
                    f"{path} is {picture.width}x{picture.height} pixels (width x height), the "
                    f"image {image.width}x{image.height}. Save the mask at the size of the image."
                )
            if picture.mode not in ("1", "L", "P"):
                raise ExchangeError(
                    f"{path} is of mode {picture.mode}; a mask has 8 bits a pixel that hold the "
                    "number of a class. Save class numbers, not colours."
                )
            values = _shown(picture, path, asked)
    except ExchangeError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ExchangeError(
            f"{path} is no PNG that can be read: {error}. Save it as PNG; formats that lose detail "
            "change the numbers."
        ) from error
    codes = values.astype(np.int16)
    codes[values == IGNORE] = NOTHING
    classes = len(asked.classes)
    if codes.max(initial=NOTHING) >= classes:
        raise ExchangeError(
            f"{path} holds the value {int(codes.max())}, which is no class; allowed are 0 to "
            f"{classes - 1}, and {IGNORE} for no answer."
        )
    return codes


def _shown(picture: Image.Image, path: Path, asked: AskedRound) -> NDArray[np.uint8]:
    """Return the grey levels that a picture shows, H×W.

    Paint programs and packers save what they show, with an order of the palette and a depth of
    their own: what is stored for a level is not the level.
    """
    if picture.mode != "P":
        return np.array(picture.convert("L"), dtype=np.uint8)
    indices = np.array(picture, dtype=np.uint8)
    palette = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    used = np.unique(indices)
    if used.max() < len(palette):
        colors = palette[used]
        levels = colors[:, 0]
        allowed = [*range(len(asked.classes)), IGNORE]
        if (colors == levels[:, None]).all() and np.isin(levels, allowed).all():
            return np.array(palette[indices][..., 0])
        numbers = [
            _class_of(index, tuple(color), asked)
            for index, color in zip(used.tolist(), colors.tolist(), strict=True)
        ]
        known = [number for number in numbers if number is not None]
        if len(known) == len(used):
            table = np.zeros(256, dtype=np.uint8)
            table[used] = known
            return np.array(table[indices])
    raise ExchangeError(
        f"{path} has a palette that shows other colours than the grey levels 0 to "
        f"{len(asked.classes) - 1} and {IGNORE}, or the colours of the classes: which class an "
        "entry of it means cannot be known. Save the mask as an 8-bit grey PNG."
    )


def _class_of(index: int, color: tuple[int, ...], asked: AskedRound) -> int | None:
    """Return the class that alone has a colour; white is no answer, and so is alseg's own void."""
    found = [number for number, own in enumerate(asked.colors) if own == color]
    if not found and (color == (IGNORE,) * 3 or (index == IGNORE and color == (0, 0, 0))):
        return IGNORE
    return found[0] if len(found) == 1 else None

"""Plain masks: an 8-bit PNG an image, beside a CSV of the queries with a column for the answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.active.asked import AskedImage, Query
from alseg.active.asked_files import COLUMNS
from alseg.active.settling import paint
from alseg.annotate.exchange.collector import Collector
from alseg.annotate.exchange.masks import NOTHING
from alseg.annotate.exchange.outgoing import Outgoing
from alseg.annotate.exchange.source import Source
from alseg.annotate.exchange.words import QUERY
from alseg.data.label_space import IGNORE
from alseg.errors import ExchangeError, did_you_mean
from alseg.yaml_file import write_mapping

TABLE, MASKS, CLASSES = "queries.csv", "masks", "classes.yaml"
ANSWER = "answer"
PLACE = ("image", "row", "column", "top", "left", "bottom", "right")


def write(folder: Path, outgoing: Outgoing) -> tuple[str, ...]:
    """Write ``masks/ID.png``, ``queries.csv`` and ``classes.yaml`` into a folder.

    Returns:
        The files to work on, relative to the folder.
    """
    asked = outgoing.asked
    rows = []
    for image in asked.images.values():
        mask = paint(asked, outgoing.answers, image.id, (image.height, image.width))
        path = folder / MASKS / f"{image.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two colours and much of one: packing harder takes twice the time.
        Image.fromarray(mask).save(path, compress_level=1)
        for window, word in outgoing.windows(image.id):
            rows.append([*asdict(window).values(), "" if word == QUERY else word])
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, ANSWER])
    writer.writerows(rows)
    (folder / TABLE).write_text(buffer.getvalue(), encoding="utf-8")
    names = write_mapping({"classes": list(asked.classes), "ignore": IGNORE})
    (folder / CLASSES).write_text(names, encoding="utf-8")
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
        _read_table(Source(table, source.limit), collector)
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
        collector.add_mask(image, _read_mask(path, image, len(collector.asked.classes)))


def _refuse_other_exports(folder: Path) -> None:
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".xml"))
    if found:
        raise ExchangeError(
            f"{folder} holds neither {TABLE} nor a folder {MASKS}, but {found[0]}. Name the file "
            "that the tool exported."
        )


def _pictures(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*"))
    return [path for path in found if path.suffix.lower() == ".png" and path.is_file()]


def _read_table(source: Source, collector: Collector) -> None:
    for number, row in _rows(source):
        where = f"{source.path}, line {number}"
        if not row["query"].strip():
            raise ExchangeError(f"{where}: the column 'query' is empty. Fill it or drop the line.")
        name = row["query"].strip()
        _check_place(collector.find(name, where), row, where)
        collector.add(name, row[ANSWER].strip() or QUERY, where)


def _check_place(query: Query, row: Mapping[str, str], where: str) -> None:
    """Check that a line was written for this round: another one has queries of the same names."""
    for column in PLACE:
        expected = str(getattr(query, column))
        if row.get(column, expected).strip() != expected:
            raise ExchangeError(
                f"{where}: {query.id} has the {column} {row[column]!r}; the run's own is "
                f"{expected!r}. Is this the table of another run, or was one column sorted without "
                "the others? Export again, and change the answers alone."
            )


def _rows(source: Source) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines of a CSV as a spreadsheet may have written it, with their numbers."""
    try:
        text = source.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExchangeError(
            f"{source.path}: byte {error.start} is not UTF-8. Save it as CSV in UTF-8."
        ) from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
        if header.count("query") != 1 or header.count(ANSWER) != 1:
            raise ExchangeError(
                f"{source.path}: the first line names the columns {', '.join(header)!r:.200}; one "
                f"'query' and one '{ANSWER}' are needed. Keep the first line as it was exported."
            )
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ExchangeError(
                    f"{source.path}, line {reader.line_num}: {len(row)} values for {len(header)} "
                    "columns. Mend the line, or save the table as CSV again."
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ExchangeError(
            f"{source.path}, line {reader.line_num}: {error}. Save the table as CSV again."
        ) from error


def _read_mask(path: Path, image: AskedImage, classes: int) -> NDArray[np.int16]:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.size != (image.width, image.height):
                raise ExchangeError(
                    f"{path} is {picture.width}x{picture.height} pixels (width x height), the "
                    f"image {image.width}x{image.height}. Save the mask at the size of the image."
                )
            if picture.mode not in ("L", "P"):
                raise ExchangeError(
                    f"{path} is of mode {picture.mode}; a mask has 8 bits a pixel that hold the "
                    "number of a class. Save class numbers, not colours."
                )
            values = np.array(picture)
    except ExchangeError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ExchangeError(f"{path} is no PNG that can be read: {error}.") from error
    codes = values.astype(np.int16)
    codes[values == IGNORE] = NOTHING
    if codes.max(initial=NOTHING) >= classes:
        raise ExchangeError(
            f"{path} holds the value {int(codes.max())}, which is no class; allowed are 0 to "
            f"{classes - 1}, and {IGNORE} for no answer."
        )
    return codes

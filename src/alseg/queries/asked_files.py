"""The queries of a round as a folder that any program can read.

``RUN/queries/round-001`` holds what a labelling page or another tool needs, and nothing of it
changes once it is there::

    round.json       classes and colours, images, how a mixed region is split, counts, digest
    queries.csv      one line a query, in the order in which they are asked
    images/ID.png    images that are no files of their own
    answers/         what people said, see ``alseg.queries.answers``
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.config.run_files import QUERIES, round_name, round_numbers
from alseg.errors import LabelStoreError
from alseg.labels.files import replace_in_store, write_durably
from alseg.labels.region_shape import read_region
from alseg.queries.asked import MANIFEST, AskedImage, AskedRound, Query
from alseg.queries.asked_checks import check_classes, check_queries, check_split, image_of
from alseg.storage.regular_files import digest, read_unchanged
from alseg.storage.sealed_json import encode_json, load_json
from alseg.storage.spreadsheet import from_cell, to_cell
from alseg.storage.whole_folder import whole_folder

FORMAT = 2
TABLE = "queries.csv"
IMAGES = "images"
COLUMNS = ("query", "image", "row", "column", "top", "left", "bottom", "right", "score", "guess")
_STAGING = ".staging-queries"
_RESTORE = "Restore it from a copy."


def write_round(
    run: Path,
    number: int,
    *,
    classes: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    split: str,
    images: Iterable[AskedImage],
    queries: Iterable[Query],
    settings: Mapping[str, Any],
    pixels: Callable[[str], NDArray[np.uint8]] | None = None,
) -> AskedRound:
    """Write the queries of a round; they are there in full or not at all.

    Args:
        run: The folder of the run.
        number: The round, from 1.
        classes: Names of the classes.
        colors: One RGB colour per class.
        split: What becomes of mixed regions, see ``AskedRound``.
        images: The images with queries; those with an empty ``file`` are written here.
        queries: The queries in the order in which they are asked.
        settings: What the round was asked for with, as JSON values.
        pixels: Returns the RGB image H×W×3 of a name, for images that are no files.

    Raises:
        LabelStoreError: The round is there already, or cannot be written.
    """
    folder = run / QUERIES / round_name(number)
    if folder.exists():
        raise LabelStoreError(f"The queries of round {number} are there already: {folder}.")
    # What cannot be read is found before anything is written.
    found = [
        replace(image, digest=digest(Path(image.file).read_bytes()))
        if image.file and Path(image.file).is_file()
        else image
        for image in images
    ]
    table = _to_csv(queries)
    try:
        with whole_folder(folder, folder.with_name(_STAGING)) as draft:
            kept = [image if image.file else _kept(image, draft, pixels) for image in found]
            content = {
                "format": FORMAT,
                "round": number,
                "classes": list(classes),
                "colors": [list(color) for color in colors],
                "split": split,
                "settings": dict(settings),
                "images": [asdict(image) for image in kept],
                "queries": digest(table),
            }
            write_durably(draft / TABLE, table)
            write_durably(draft / MANIFEST, encode_json(content))
    except OSError as error:
        raise LabelStoreError(f"Cannot write {folder}: {error.strerror or error}.") from error
    return open_round(run, number)


def _kept(
    image: AskedImage, folder: Path, pixels: Callable[[str], NDArray[np.uint8]] | None
) -> AskedImage:
    """Write an image that is no file into the folder of its round."""
    assert pixels is not None
    buffer = io.BytesIO()
    Image.fromarray(pixels(image.id)).save(buffer, format="PNG")
    file = f"{IMAGES}/{image.id}.png"
    write_durably(folder / file, buffer.getvalue())
    return replace(image, file=file, digest=digest(buffer.getvalue()))


def asked_rounds(run: Path) -> list[int]:
    """Return the numbers of the rounds whose queries are in a run's folder, rising."""
    return round_numbers(run / QUERIES)


def open_round(run: Path, number: int) -> AskedRound:
    """Read the queries of a round.

    Raises:
        LabelStoreError: They are missing or damaged.
    """
    folder = run / QUERIES / round_name(number)
    path = folder / MANIFEST
    content = load_json(path, _RESTORE, FORMAT)
    try:
        asked = _from_json(folder, number, content)
        expected = content["queries"]
        path = folder / TABLE
        queries = _from_csv(read_unchanged(path, expected))
        check_queries(asked, queries)
        return replace(asked, queries=queries)
    except KeyError as error:
        raise LabelStoreError(f"{path} cannot be used: it has no {error}. {_RESTORE}") from error
    except (AttributeError, OverflowError, TypeError, ValueError, csv.Error) as error:
        raise LabelStoreError(f"{path} cannot be used: {error}. {_RESTORE}") from error
    except LabelStoreError as error:
        raise LabelStoreError(f"{path} cannot be used: {error}") from error


def move_images(run: Path, number: int, files: Mapping[str, str]) -> None:
    """Write down where the images of a round are now.

    Args:
        run: The folder of the run.
        number: The round.
        files: The absolute path of each image, by name. Others stay as they are, and so do images
            that are stored with the round.

    Raises:
        LabelStoreError: The round is damaged, or cannot be written.
    """
    open_round(run, number)
    path = run / QUERIES / round_name(number) / MANIFEST
    content = load_json(path, _RESTORE, FORMAT)
    images = [
        {**image, "file": files.get(image["id"], image["file"])}
        if Path(image["file"]).is_absolute()
        else image
        for image in content["images"]
    ]
    if images != content["images"]:
        replace_in_store(path, encode_json({**content, "images": images}))


def _from_json(folder: Path, number: int, content: Mapping[str, Any]) -> AskedRound:
    if content["round"] != number:
        raise ValueError(f"it is of round {content['round']!r:.20}")
    classes, colors = content["classes"], content["colors"]
    check_classes(classes, colors)
    check_split(content["split"])
    images = [image_of(image) for image in content["images"]]
    by_id = {image.id: image for image in images}
    if len(by_id) < len(images):
        raise ValueError("it lists an image twice")
    return AskedRound(
        folder=folder,
        number=number,
        classes=tuple(classes),
        colors=tuple((red, green, blue) for red, green, blue in colors),
        region=read_region(content["settings"].get("region")),
        split=content["split"],
        images=by_id,
        queries=(),
        settings=dict(content["settings"]),
        identity=_identity(content),
    )


def _identity(content: Mapping[str, Any]) -> str:
    """Return the identity of a round, which stays where its images are moved."""
    images = [{**image, "file": None} for image in content["images"]]
    return digest(encode_json({**content, "images": images}))[:16]


def _to_csv(queries: Iterable[Query]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for query in queries:
        row = asdict(query)
        row["image"] = to_cell(query.image)
        row["score"] = repr(query.score)
        writer.writerow(row.values())
    return buffer.getvalue().encode()


def _from_csv(data: bytes) -> tuple[Query, ...]:
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    header = tuple(next(reader, ()))
    if header != COLUMNS:
        raise ValueError(f"the columns are {','.join(header)}, expected {','.join(COLUMNS)}")
    return tuple(_query(*line) for line in reader)


def _query(name: str, image: str, *rest: str) -> Query:
    *place, score, guess = rest
    row, column, top, left, bottom, right = map(int, place)
    return Query(
        name, from_cell(image), row, column, top, left, bottom, right, float(score), int(guess)
    )

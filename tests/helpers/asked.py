"""A round as a run asks it of people, on small images that are drawn at random; what they said."""

import json

import numpy as np
from PIL import Image

from alseg.active.request import RoundRequest
from alseg.config.budget import Budget
from alseg.labels import Windows
from alseg.queries.asked import AskedImage, Query, query_id
from alseg.queries.asked_files import write_round

CLASSES = ("road", "building", "sky", "car", "tree")
COLORS = ((128, 64, 128), (70, 70, 70), (70, 130, 180), (0, 0, 142), (107, 142, 35))


def random_image(height, width, seed=0):
    """Smooth colours with noise, as a photograph has."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height)), dtype=np.int16)
    noise = rng.integers(-12, 13, (height, width, 3))
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def window(size, row, column, radius=1):
    """The window around a centre, clipped by an image of a size: top, left, bottom, right."""
    return (
        max(row - radius, 0),
        max(column - radius, 0),
        min(row + radius + 1, size[0]),
        min(column + radius + 1, size[1]),
    )


def random_queries(sizes, count, number=1, radius=1, seed=0, classes=5):
    """Queries in turn on each of the images, some of them at the borders."""
    rng = np.random.default_rng(seed)
    queries = []
    for position in range(count):
        image = list(sizes)[position % len(sizes)]
        row = 0 if position == 0 else int(rng.integers(sizes[image][0]))
        column = 0 if position == 0 else int(rng.integers(sizes[image][1]))
        place = (row, column, *window(sizes[image], row, column, radius))
        score, guess = float(rng.random()), int(rng.integers(classes))
        queries.append(Query(query_id(number, position), image, *place, score, guess))
    return queries


def queries_at(centres, sizes, number=1):
    """Queries of 3 by 3 pixels around centres: image, row and column."""
    return [
        Query(query_id(number, position), image, *centre, *window(sizes[image], *centre), 0.5, 1)
        for position, (image, *centre) in enumerate(centres)
    ]


def settings_of(number=1, radius=1):
    """What a round of windows is asked with."""
    region = Windows(radius)
    return RoundRequest(number, number, Budget.parse("1%"), region, strategy="halo").settings()


def make_round(
    run,
    count=6,
    *,
    number=1,
    size=(40, 60),
    images=2,
    split="quadrants",
    classes=CLASSES,
    sizes=None,
    centres=None,
    settings=None,
    **more,
):
    """Write a round below a run's folder and return it.

    Its queries lie at random on ``images`` images of one size; or around ``centres`` on images with
    the names and ``sizes``.
    """
    if sizes is None:
        sizes = {f"city/{letter}": size for letter in "abcdefghijklmnopqrst"[:images]}
    names = list(sizes)
    rng = np.random.default_rng(5)
    colors = [*COLORS, *(tuple(map(int, rng.integers(0, 256, 3))) for _ in classes[len(COLORS) :])]
    if centres is None:
        queries = random_queries(sizes, count, number, classes=len(classes), **more)
    else:
        queries = queries_at(centres, sizes, number)
    return write_round(
        run,
        number,
        classes=classes,
        colors=colors[: len(classes)],
        split=split,
        images=[AskedImage(name, *sizes[name], "") for name in names],
        queries=queries,
        settings=settings or settings_of(number, more.get("radius", 1)),
        pixels=lambda name: random_image(*sizes[name], seed=names.index(name)),
    )


def journal(asked, person="annotator-1"):
    """What a person's file holds, read without the code that wrote it, as (query, answer)."""
    lines = (asked.folder / f"answers/{person}.jsonl").read_text().splitlines()
    return [(line["query"], line["answer"]) for line in map(json.loads, lines)]

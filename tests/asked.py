"""A round as a run asks it of people, on small images that are drawn at random."""

import numpy as np
from PIL import Image

from alseg.active.asked import AskedImage, Query, query_id, write_round

CLASSES = ("road", "building", "sky", "car", "tree")
COLORS = ((128, 64, 128), (70, 70, 70), (70, 130, 180), (0, 0, 142), (107, 142, 35))


def random_image(height, width, seed=0):
    """Smooth colours with noise, as a photograph has."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height)), dtype=np.int16)
    noise = rng.integers(-12, 13, (height, width, 3))
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def random_queries(images, count, number=1, radius=1, seed=0, classes=5):
    """Queries in turn on each of the images, some of them at the borders."""
    rng = np.random.default_rng(seed)
    queries = []
    for position in range(count):
        image = images[position % len(images)]
        row = 0 if position == 0 else int(rng.integers(image.height))
        column = 0 if position == 0 else int(rng.integers(image.width))
        queries.append(
            Query(
                query_id(number, position),
                image.id,
                row,
                column,
                max(row - radius, 0),
                max(column - radius, 0),
                min(row + radius + 1, image.height),
                min(column + radius + 1, image.width),
                float(rng.random()),
                int(rng.integers(classes)),
            )
        )
    return queries


def make_round(
    run, count=6, *, number=1, size=(40, 60), images=2, split="quadrants", classes=None, **more
):
    """Write a round below a run's folder and return it."""
    classes = CLASSES if classes is None else classes
    names = [f"city/{letter}" for letter in "abcdefghijklmnopqrst"[:images]]
    entries = [AskedImage(name, *size, "") for name in names]
    rng = np.random.default_rng(5)
    colors = [*COLORS, *(tuple(map(int, rng.integers(0, 256, 3))) for _ in classes[len(COLORS) :])]
    return write_round(
        run,
        number,
        classes=classes,
        colors=colors[: len(classes)],
        split=split,
        images=entries,
        queries=random_queries(entries, count, number, classes=len(classes), **more),
        settings={"strategy": "halo"},
        pixels=lambda name: random_image(*size, seed=names.index(name)),
    )

"""The queries of one image in one round, and their form on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEADER = "row,column,radius,score,asked,void"


@dataclass(frozen=True)
class Queries:
    """Regions asked for, best first; every array has one entry per region.

    Attributes:
        rows: Row of the centre, in pixels.
        columns: Column of the centre, in pixels.
        radius: Window radius k of all regions: each is (2k+1)² pixels, clipped by the image.
        scores: Score of the centre when it was chosen.
        asked: Pixels that the region was the first to ask for.
        void: How many of these turned out to be void.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    radius: int
    scores: NDArray[np.float64]
    asked: NDArray[np.int64]
    void: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def to_csv(self) -> bytes:
        """Return the queries as CSV with a header; scores are written without loss."""
        table = zip(
            self.rows.tolist(),
            self.columns.tolist(),
            self.scores.tolist(),
            self.asked.tolist(),
            self.void.tolist(),
            strict=True,
        )
        lines = [
            f"{row},{column},{self.radius},{score!r},{asked},{void}"
            for row, column, score, asked, void in table
        ]
        return ("\n".join([HEADER, *lines]) + "\n").encode()

    @classmethod
    def from_csv(cls, data: bytes) -> Queries:
        """Return the queries that ``to_csv`` wrote.

        Raises:
            ValueError: The data is not such a table.
        """
        header, *lines = data.decode().splitlines()
        if header != HEADER:
            raise ValueError(f"the columns are {header!r}, expected {HEADER!r}")
        columns = list(zip(*(line.split(",") for line in lines), strict=True)) or [()] * 6
        row, column, radius, score, asked, void = columns
        if len(set(radius)) > 1:
            raise ValueError("its regions have several radii")
        return cls(
            np.array(row, dtype=np.int64),
            np.array(column, dtype=np.int64),
            int(radius[0]) if radius else 0,
            np.array(score, dtype=np.float64),
            np.array(asked, dtype=np.int64),
            np.array(void, dtype=np.int64),
        )


def windows(
    shape: tuple[int, int],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    radius: int,
) -> NDArray[np.bool_]:
    """Return the union of square windows around centres, H×W; its cost is flat in the radius."""
    height, width = shape
    corners = np.zeros((height + 1, width + 1), dtype=np.int32)
    top, bottom = np.maximum(rows - radius, 0), np.minimum(rows + radius + 1, height)
    left, right = np.maximum(columns - radius, 0), np.minimum(columns + radius + 1, width)
    np.add.at(corners, (top, left), 1)
    np.add.at(corners, (bottom, right), 1)
    np.add.at(corners, (top, right), -1)
    np.add.at(corners, (bottom, left), -1)
    np.cumsum(corners, axis=0, out=corners)
    np.cumsum(corners, axis=1, out=corners)
    covered: NDArray[np.bool_] = corners[:-1, :-1] > 0
    return covered


def owners(
    shape: tuple[int, int],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    radius: int,
) -> NDArray[np.int32]:
    """Return for every pixel, H×W, which region was the first to cover it; -1 for none."""
    owner = np.full(shape, -1, dtype=np.int32)
    top, left = np.maximum(rows - radius, 0), np.maximum(columns - radius, 0)
    boxes = zip(
        top.tolist(),
        (rows + radius + 1).tolist(),
        left.tolist(),
        (columns + radius + 1).tolist(),
        strict=True,
    )
    for region, (first, last, start, stop) in reversed(list(enumerate(boxes))):
        owner[first:last, start:stop] = region
    return owner

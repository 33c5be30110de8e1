"""The queries of one image in one round, and their form on disk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from alseg.labels.region_shape import RegionShape


def header_of(region: RegionShape) -> tuple[str, ...]:
    """Return the names of what is known of a region of some shape."""
    return ("row", "column", *region.columns, "score", "asked", "void")


@dataclass(frozen=True)
class Queries:
    """Regions asked for, best first; every array has one entry per region.

    Attributes:
        region: The shape of the regions.
        rows: Row of the anchor, in pixels.
        columns: Column of the anchor, in pixels.
        scores: Score of the anchor when it was chosen.
        asked: Pixels that the region was the first to ask for.
        void: How many of these turned out to be void.
    """

    region: RegionShape
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: NDArray[np.float64]
    asked: NDArray[np.int64]
    void: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def line(self, place: int) -> list[int | float]:
        """Return what is known of the region at a place, in the order of ``header_of``."""
        return [
            int(self.rows[place]),
            int(self.columns[place]),
            *self.region.columns.values(),
            float(self.scores[place]),
            int(self.asked[place]),
            int(self.void[place]),
        ]

    def to_csv(self) -> bytes:
        """Return the queries as CSV with a header; scores are written without loss."""
        table = zip(
            self.rows.tolist(),
            self.columns.tolist(),
            *(repeat(value) for value in self.region.columns.values()),
            self.scores.tolist(),
            self.asked.tolist(),
            self.void.tolist(),
            strict=False,
        )
        lines = [",".join(map(repr, line)) for line in table]
        return ("\n".join([",".join(header_of(self.region)), *lines]) + "\n").encode()

    @classmethod
    def from_csv(cls, data: bytes, region: RegionShape) -> Queries:
        """Return the queries that ``to_csv`` wrote.

        Args:
            data: The content of the file.
            region: The shape that the round asked for.

        Raises:
            ValueError: The data is not such a table.
        """
        header, *lines = data.decode().splitlines()
        own, expected = tuple(region.columns), ",".join(header_of(region))
        if header != expected:
            raise ValueError(f"the columns are {header!r}, expected {expected!r}")
        columns = list(zip(*(line.split(",") for line in lines), strict=True))
        row, column, *repeated, score, asked, void = columns or [()] * (5 + len(own))
        for name, values in zip(own, repeated, strict=True):
            if set(values) - {str(region.columns[name])}:
                raise ValueError(f"its regions have another {name} than {region.columns[name]}")
        return cls(
            region,
            np.array(row, dtype=np.int64),
            np.array(column, dtype=np.int64),
            np.array(score, dtype=np.float64),
            np.array(asked, dtype=np.int64),
            np.array(void, dtype=np.int64),
        )

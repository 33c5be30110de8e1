"""Shrinking label maps without losing the few pixels that somebody was asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alseg.data.label_space import IGNORE


def shrink_labels(
    label: NDArray[np.uint8], size: tuple[int, int], ignore_index: int = IGNORE
) -> NDArray[np.uint8]:
    """Resize a label map so that sparse labels survive.

    The input is divided among the output's cells: a pixel belongs to the cell that its centre lies
    in. A cell takes the label of the pixel under its own centre (nearest neighbour); if that is
    ``ignore_index``, the most frequent other label among its pixels, the smallest of equally
    frequent ones; if there is none, ``ignore_index``. Along an axis that grows this is nearest
    neighbour.

    Args:
        label: Label map, H×W.
        size: Height and width of the result in pixels.
        ignore_index: The value of pixels without a label.

    Returns:
        The label map at ``size``; ``label`` itself if it has that size.
    """
    height, width = size
    if height > label.shape[0]:
        label = label[_centres(label.shape[0], height)]
    if width > label.shape[1]:
        label = label[:, _centres(label.shape[1], width)]
    if label.shape == size:
        return label
    nearest = label[_centres(label.shape[0], height)[:, None], _centres(label.shape[1], width)]
    row_cells = _cells(label.shape[0], height)
    column_cells = _cells(label.shape[1], width)
    empty = nearest == ignore_index
    if not empty.any():
        return nearest
    candidates = np.flatnonzero((label != ignore_index) & empty[row_cells[:, None], column_cells])
    rows, columns = np.divmod(candidates, label.shape[1])
    cells = row_cells[rows] * width + column_cells[columns]
    winners, labels = _most_frequent(cells, label.ravel()[candidates])
    nearest.ravel()[winners] = labels
    return nearest


def _centres(length: int, cells: int) -> NDArray[np.int64]:
    """Return the pixel that lies under the centre of each cell."""
    return (2 * np.arange(cells) + 1) * length // (2 * cells)


def _cells(length: int, cells: int) -> NDArray[np.int64]:
    """Return the cell that the centre of each pixel lies in."""
    return (2 * np.arange(length) + 1) * cells // (2 * length)


def _most_frequent(
    cells: NDArray[np.int64], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the cells that occur, in order, and the most frequent label of each."""
    votes, counts = np.unique(cells * 256 + labels, return_counts=True)
    order = np.lexsort((votes % 256, -counts, votes // 256))
    winners, first = np.unique(votes[order] // 256, return_index=True)
    return winners, (votes[order][first] % 256).astype(np.uint8)

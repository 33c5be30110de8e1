"""The pixels of COCO's shapes: run lengths, packed or not, and polygons.

The run lengths are unpacked here: a library that trusts them writes past the end of the mask.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.annotate.exchange.shapes import Node


def pixels_of(annotation: Node, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of an annotation's segmentation, H×W.

    Args:
        annotation: The annotation.
        shape: Height and width of the image.

    Raises:
        ExchangeError: The segmentation is neither, or does not fit the image.
    """
    value = annotation.raw("segmentation")
    if isinstance(value, dict):
        return _from_runs(annotation.node("segmentation"), shape)
    if not isinstance(value, list):
        raise annotation.wrong("has a 'segmentation' that is neither polygons nor run lengths")
    mask = np.zeros(shape, dtype=np.bool_)
    for polygon in value:
        _add_polygon(annotation, polygon, mask)
    return mask


def shape_of(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what an annotation says of pixels, H×W, at least one: run lengths, area and box."""
    flat = mask.T.ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    runs = np.diff(edges).tolist()
    rows, columns = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return {
        "segmentation": {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs},
        "area": int(mask.sum()),
        "bbox": box,
    }


def _from_runs(node: Node, shape: tuple[int, int]) -> NDArray[np.bool_]:
    size = node.numbers("size", 2)
    if tuple(size) != shape:
        raise node.wrong(
            f"has the size {size[0]:g}x{size[1]:g} (height x width), its image "
            f"{shape[0]}x{shape[1]}"
        )
    counts = node.raw("counts")
    if not isinstance(counts, str | list):
        raise node.wrong("has no run lengths as 'counts'")
    runs = _unpack(node, counts) if isinstance(counts, str) else node.numbers("counts", len(counts))
    lengths = np.array(runs, dtype=np.float64)
    whole = (lengths >= 0) & (lengths == np.floor(lengths))
    total = shape[0] * shape[1]
    if not whole.all() or lengths.sum() != total:
        raise node.wrong(f"has run lengths that do not add up to the {total} pixels of its image")
    held = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths.astype(np.int64))
    mask: NDArray[np.bool_] = held.reshape(shape[::-1]).T
    return mask


def _unpack(node: Node, text: str) -> list[int]:
    """Return the run lengths of COCO's packed text.

    Six bits a character, offset by 48: five bits of the number, lowest first, and whether more
    follow; the fifth bit of the last character is the sign. From the third number on they are
    differences to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise node.wrong(f"has run lengths with {character!r}, which cannot be unpacked")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise node.wrong("has run lengths that were cut short")
    return runs


def _add_polygon(annotation: Node, polygon: object, mask: NDArray[np.bool_]) -> None:
    """Add the pixels whose centres lie in a polygon x, y, x, y, ..., by the even-odd rule."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise annotation.wrong("has a polygon that is no list of three or more points")
    flat = Node({"polygon": polygon}, annotation.where).numbers("polygon", len(polygon))
    if not all(isfinite(value) and abs(value) < 1e6 for value in flat):
        raise annotation.wrong("has a polygon with a point that is no place in an image")
    points = np.array(flat).reshape(-1, 2)
    end = mask.shape[::-1]
    first = np.clip(np.floor(points.min(axis=0)), 0, end).astype(int)
    last = np.clip(np.ceil(points.max(axis=0)), 0, end).astype(int)
    rows = np.arange(first[1], last[1]) + 0.5
    width = last[0] - first[0]
    # How many edges cross a row between the centres of two columns; even a polygon of very many
    # points then costs a sum over the image, and one step a row that an edge crosses.
    crossings = np.zeros((len(rows), width + 1), dtype=np.int32)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossed = np.flatnonzero((y1 <= rows) != (y2 <= rows))
        at = x1 + (rows[crossed] - y1) * ((x2 - x1) / (y2 - y1) if len(crossed) else 0.0)
        before = np.clip(np.ceil(at - first[0] - 0.5), 0, width).astype(int)
        crossings[crossed, before] += 1
    right_of = np.cumsum(crossings[:, ::-1], axis=1)[:, ::-1][:, 1:]
    mask[first[1] : last[1], first[0] : last[0]] |= right_of % 2 == 1

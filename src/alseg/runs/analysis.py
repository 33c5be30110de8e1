"""What a round says about a strategy, as sums over pixels that add up over images and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.data.label_space import IGNORE

Sums = dict[str, NDArray[np.float64]]
"""Named sums; those of other images, rounds and runs are added entry by entry."""

SAMPLE = 32
"""Pool images, evenly spread, whose picks are counted and that are shown to the network: enough to
see where picks fall and what the network is like, and few beside the pool just scored."""

DISTANCES = (0.0, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0, np.inf)
"""Ends of the ranges of distances from a class boundary, in pixels."""

RADIUS_BINS = 24
"""Ranges of equal width from radius 0 to the rim."""

NEAR_RIM = 0.99
"""A radius above this share of the largest that can be told counts as saturated."""


BY_DISTANCE = ("norm", "radius")
"""The maps that are summed by distance from the class boundaries."""


def _of_map(name: str) -> tuple[str, ...]:
    return f"class_{name}", f"distance_{name}", f"distance_{name}_squares"


TOGETHER = (
    ("picked_classes", "picked_void"),
    ("pool_classes", "pool_distances", "picked_distances"),
    (
        *("pixels", "wrong", "asked", "asked_wrong", "class_pixels", "class_right"),
        *("distance_pixels", "distance_wrong", "class_entropy", *_of_map("norm")),
    ),
    (*_of_map("radius"), "radius_counts", "at_rim"),
)
"""The names of the sums that the report is made of, told all together or not at all."""


def boundary_distance(label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how far every pixel is from the nearest class boundary, H×W, in pixels.

    A pixel lies on a boundary if one of its four neighbours has another class; void counts as one
    more class. Without any boundary all distances are infinite.
    """
    import cv2

    edge = np.zeros(label.shape, dtype=bool)
    down, across = label[1:] != label[:-1], label[:, 1:] != label[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    if not edge.any():
        return np.full(label.shape, np.inf, dtype=np.float32)
    inside = (~edge).astype(np.uint8)
    return cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float32)


def pick_sums(label: NDArray[np.uint8], picked: NDArray[np.bool_], classes: int) -> Sums:
    """Return what was picked, by the answers.

    Args:
        label: The answers, H×W; 255 where a pick is void or nothing was asked.
        picked: The pixels asked for in the round, H×W.
        classes: Number of classes.
    """
    answers = label[picked]
    return {
        "picked_classes": _counted(answers[answers != IGNORE], classes),
        "picked_void": np.array([np.count_nonzero(answers == IGNORE)], dtype=np.float64),
    }


def place_sums(truth: NDArray[np.uint8], picked: NDArray[np.bool_], classes: int) -> Sums:
    """Return what the pool is made of, and where in it the picks lie.

    Args:
        truth: All labels of an image, H×W; 255 is void.
        picked: The pixels asked for in the round, H×W.
        classes: Number of classes.
    """
    where = _ranges(boundary_distance(truth))
    return {
        "pool_classes": _counted(truth[truth != IGNORE], classes),
        "pool_distances": _counted(where, len(DISTANCES) - 1),
        "picked_distances": _counted(where[picked], len(DISTANCES) - 1),
    }


def network_sums(
    truth: NDArray[np.uint8],
    picked: NDArray[np.bool_],
    prediction: NDArray[np.uint8],
    maps: Mapping[str, NDArray[np.floating]],
    classes: int,
    rim: float | None = None,
) -> Sums:
    """Return how right the network was before the round, and what its maps are like.

    Args:
        truth: All labels of an image, H×W; 255 is void, and left out of everything.
        picked: The pixels asked for in the round, H×W.
        prediction: The classes that the network took for the most probable, H×W.
        maps: By name, maps H×W such as ``entropy``, ``radius`` and ``norm``; each is summed by
            class, the latter two with their squares by distance from the class boundaries.
        classes: Number of classes.
        rim: The largest ``radius`` that can be told; None where there is no radius.
    """
    known = truth != IGNORE
    label, wrong, asked = truth[known], (prediction != truth)[known], picked[known]
    where = _ranges(boundary_distance(truth))[known]
    spans = len(DISTANCES) - 1
    sums = {
        "pixels": _one(label.size),
        "wrong": _one(np.count_nonzero(wrong)),
        "asked": _one(np.count_nonzero(asked)),
        "asked_wrong": _one(np.count_nonzero(asked & wrong)),
        "class_pixels": _counted(label, classes),
        "class_right": _counted(label[~wrong], classes),
        "distance_pixels": _counted(where, spans),
        "distance_wrong": _counted(where[wrong], spans),
    }
    for name, values in maps.items():
        value = values[known].astype(np.float64)
        sums[f"class_{name}"] = _counted(label, classes, value)
        if name in BY_DISTANCE:
            sums[f"distance_{name}"] = _counted(where, spans, value)
            sums[f"distance_{name}_squares"] = _counted(where, spans, value**2)
    if rim is not None:
        radius = maps["radius"][known].astype(np.float64)
        bins = np.clip(radius / rim * RADIUS_BINS, 0, RADIUS_BINS - 1).astype(np.int64)
        sums["radius_counts"] = _counted(bins, RADIUS_BINS)
        sums["at_rim"] = _one(np.count_nonzero(radius >= NEAR_RIM * rim))
    return sums


def checked(content: Mapping[str, Any], classes: int) -> Sums:
    """Return the sums that the report is made of, out of what was read from a file.

    Args:
        content: By name, lists of numbers.
        classes: Number of classes.

    Raises:
        ValueError: A sum lacks that is told together with others, or is no list of as many numbers
            as it should have.
    """
    sums: Sums = {}
    for group in TOGETHER:
        there = [name for name in group if name in content]
        if there and len(there) < len(group):
            lacking = ", ".join(name for name in group if name not in content)
            raise ValueError(f"it has {there[0]} and lacks {lacking}")
        for name in there:
            sums[name] = np.asarray(content[name], dtype=np.float64)
            if sums[name].shape != (_length(name, classes),) or not np.isfinite(sums[name]).all():
                raise ValueError(f"{name} should have {_length(name, classes)} numbers")
    if "radius_counts" in sums and "pixels" not in sums:
        raise ValueError("it has radius_counts and lacks pixels")
    return sums


def added(one: Mapping[str, NDArray[np.float64]], other: Mapping[str, NDArray[np.float64]]) -> Sums:
    """Return the sums of two sets; what only one of them has is taken from it."""
    return {
        name: one[name] + other[name] if name in one and name in other else {**one, **other}[name]
        for name in {**one, **other}
    }


def _length(name: str, classes: int) -> int:
    if name == "radius_counts":
        return RADIUS_BINS
    if name.startswith("distance_") or name.endswith("_distances"):
        return len(DISTANCES) - 1
    return classes if name.startswith("class_") or name.endswith("_classes") else 1


def _ranges(distance: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of the range that each distance falls in."""
    found: NDArray[np.int64] = np.digitize(distance, DISTANCES[1:-1])
    return found


def _counted(
    places: NDArray[np.integer], length: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    return np.bincount(places.ravel(), weights, minlength=length).astype(np.float64)


def _one(count: int | np.integer) -> NDArray[np.float64]:
    return np.array([count], dtype=np.float64)

"""The camera of a scene and the coordinates of the street.

Street coordinates are metres: `s` to the right of the road's centre line, `y` above the ground and
`z` along the road, the camera standing at z = 0. The road bends, so a point at (s, z) lies at
s + bend(z) of a straight frame; the camera is turned by `yaw` in that frame and looks along its
depth axis. Pixels are (column, row).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAR = 0.6
"""Depth in metres in front of which nothing is drawn."""

STRAIGHT_FROM = 60.0
"""Distance in metres beyond which a bent road runs on straight."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in a car; lengths in metres, image measures in pixels."""

    height: int
    width: int
    focal: float
    horizon: float
    eye: float
    lateral: float
    yaw: float
    curvature: float

    def bend(self, z: Floats) -> Floats:
        """Sideways shift of the road's centre line at distance z."""
        near = np.minimum(np.maximum(z, -20.0), STRAIGHT_FROM)
        return self.curvature * (0.5 * near * near + STRAIGHT_FROM * np.maximum(z - near, 0.0))

    def view(self, points: Floats) -> Floats:
        """Turn street points (N, 3: s, y, z) into view points (N, 3: right, up, depth)."""
        z = points[:, 2]
        x = points[:, 0] - self.lateral
        if self.curvature:
            x = x + self.bend(z)
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        view = np.empty((len(points), 3))
        view[:, 0] = x * cosine - z * sine
        view[:, 1] = points[:, 1] - self.eye
        view[:, 2] = x * sine + z * cosine
        return view

    def pixels(self, view: Floats) -> Floats:
        """Project view points (N, 3) of positive depth to pixels (N, 2)."""
        ratio = self.focal / view[:, 2]
        pixels = np.empty((len(view), 2))
        pixels[:, 0] = 0.5 * self.width + view[:, 0] * ratio
        pixels[:, 1] = self.horizon - view[:, 1] * ratio
        return pixels

    def outline(self, points: Floats) -> tuple[Floats, float] | None:
        """Project a polygon of street points (N, 3), cut at the near plane.

        Returns its pixels (M, 2) and its mean depth, or None if all of it lies behind the plane.
        """
        view = self.view(points)
        if view[:, 2].min() < NEAR:
            view = cut(view)
            if len(view) < 3:
                return None
        return self.pixels(view), float(view[:, 2].mean())

    def place(self, s: float, z: float) -> tuple[float, float, float]:
        """Where a point on the ground is seen: (column, row, depth); depth may be negative."""
        near = min(max(z, -20.0), STRAIGHT_FROM)
        bend = self.curvature * (0.5 * near * near + STRAIGHT_FROM * max(z - near, 0.0))
        x, cosine, sine = s + bend - self.lateral, math.cos(self.yaw), math.sin(self.yaw)
        depth = x * sine + z * cosine
        ratio = self.focal / max(depth, NEAR)
        column = 0.5 * self.width + (x * cosine - z * sine) * ratio
        return column, self.horizon + self.eye * ratio, depth

    def ground(self) -> tuple[int, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Cast rays onto the ground.

        Returns the first row below the horizon and, for the rows from there on, the street
        coordinates s and z (h, W) and the depth (h, 1).
        """
        first = int(np.clip(np.floor(self.horizon) + 1, 0, self.height - 1))
        rows = np.arange(first, self.height, dtype=np.float64)[:, None]
        depth = self.focal * self.eye / np.maximum(rows - self.horizon, 0.35)
        right = (np.arange(self.width)[None, :] - 0.5 * self.width) * (depth / self.focal)
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        z = depth * cosine - right * sine
        s = right * cosine + depth * sine - self.bend(z) + self.lateral
        return first, s.astype(np.float32), z.astype(np.float32), depth.astype(np.float32)


def cut(view: Floats) -> Floats:
    """Cut a polygon of view points (N, 3) at the near plane (Sutherland and Hodgman, 1974)."""
    kept: list[Floats] = []
    for i in range(len(view)):
        a, b = view[i - 1], view[i]
        if (a[2] < NEAR) != (b[2] < NEAR):
            kept.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
        if b[2] >= NEAR:
            kept.append(b)
    return np.array(kept).reshape(-1, 3)

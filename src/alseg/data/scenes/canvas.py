"""The canvas: colour, emission, label and nearness, painted from far to near."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alseg.data.scenes.camera import NEAR, Camera, Floats

Bytes = NDArray[np.uint8]
Color = tuple[float, float, float]

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
VOID = 255

LAMP = 255
"""Emission of a lamp, which shines in its own colour after dark."""
LIT = 100
"""Emission of a lit window, which shines warm whatever its colour by day; smaller is fainter."""

_SHIFT = 4
_REACH = 30_000.0


def shaded(color: Color, factor: float) -> Color:
    """Multiply a colour by a factor, staying in 0..255."""
    r, g, b = color
    return min(r * factor, 255.0), min(g * factor, 255.0), min(b * factor, 255.0)


def _fixed(pixels: NDArray[Any]) -> NDArray[np.int32]:
    """Pixels in the fixed point numbers that OpenCV draws with."""
    fixed: NDArray[np.int32] = np.rint(np.minimum(np.maximum(pixels, -_REACH), _REACH) * 16).astype(
        np.int32
    )
    return fixed


class Canvas:
    """An image in the making, seen by `camera`.

    Attributes:
        paint: (H, W, 4) red, green, blue and emission (`LIT`, `LAMP` or 0).
        label: (H, W) train ids.
        nearness: (H, W) inverse depth in 1/m, 0 for the sky.
    """

    def __init__(self, camera: Camera, sky: Bytes) -> None:
        self.camera = camera
        self.paint: Bytes = np.zeros((camera.height, camera.width, 4), np.uint8)
        self.paint[..., :3] = sky
        self.label: Bytes = np.full((camera.height, camera.width), SKY, np.uint8)
        self.nearness: NDArray[np.float32] = np.zeros((camera.height, camera.width), np.float32)

    def polygon(
        self,
        pixels: Floats,
        color: Color,
        label: int | None = None,
        depth: float = 1.0,
        emission: int = 0,
    ) -> None:
        """Fill a polygon of pixels (N, 2); without a label only the colour is painted."""
        points: Any = [_fixed(pixels)]
        cv2.fillPoly(self.paint, points, (*color, emission), cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.label, points, label, cv2.LINE_8, _SHIFT)
            cv2.fillPoly(self.nearness, points, 1.0 / depth, cv2.LINE_8, _SHIFT)

    def face(
        self,
        points: Floats,
        color: Color,
        label: int | None = None,
        emission: int = 0,
    ) -> None:
        """Fill a polygon of street points (N, 3)."""
        seen = self.camera.outline(points)
        if seen is not None:
            self.polygon(seen[0], color, label, seen[1], emission)

    def ellipse(
        self,
        centre: tuple[float, float],
        axes: tuple[float, float],
        color: Color,
        label: int,
        depth: float,
        emission: int = 0,
    ) -> None:
        """Fill an ellipse; centre (column, row) and half axes in pixels."""
        self.polygon(_CIRCLE * axes + centre, color, label, depth, emission)

    def stroke(
        self,
        ends: Sequence[tuple[float, float]],
        width: float,
        color: Color,
        label: int | None,
        depth: float,
    ) -> None:
        """Draw a line through the pixels `ends`, `width` pixels wide and never less than one."""
        for (x0, y0), (x1, y1) in pairwise(ends):
            length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
            # fillPoly covers every pixel that an edge touches, which widens a shape by one.
            half = 0.5 * max(width - 1.0, 0.0)
            dx, dy = -(y1 - y0) / length * half, (x1 - x0) / length * half
            quad = np.array(
                [[x0 + dx, y0 + dy], [x1 + dx, y1 + dy], [x1 - dx, y1 - dy], [x0 - dx, y0 - dy]]
            )
            self.polygon(quad, color, label, depth)

    def sees(self, points: Floats) -> bool:
        """Whether any of a polygon of street points (N, 3) may be in the picture."""
        seen = self.camera.outline(points)
        return seen is not None and bool(
            seen[0][:, 0].max() > 0 and seen[0][:, 0].min() < self.camera.width
        )

    def panel(self, corners: Floats, texture: Bytes, label: int, mask: Bytes | None = None) -> None:
        """Hang a texture on a plane.

        Args:
            corners: (4, 3) street points: top left, top right, bottom right, bottom left of the
                texture; left and right edges must each lie at one depth.
            texture: (h, w, 4) paint.
            label: class of the whole panel, also where `mask` lets the background through.
            mask: (h, w) 255 where the texture is opaque; everywhere if left out.
        """
        view = self.camera.view(corners)
        left, right = float(view[3, 2]), float(view[2, 2])
        if max(left, right) < NEAR + 0.1:
            return
        height, width = texture.shape[:2]
        span = [0.0, float(width)]
        if min(left, right) < NEAR:
            share = (NEAR - left) / (right - left)
            crossing = view[[0, 3]] + (view[[1, 2]] - view[[0, 3]]) * share
            near = (0, 3) if left < right else (1, 2)
            view[list(near)] = crossing
            span[0 if left < right else 1] = share * width
        if view[:, 2].min() < 0.5 * NEAR:
            return
        pixels = self.camera.pixels(view)
        x0, y0 = np.floor(np.maximum(pixels.min(0), 0)).astype(int)
        x1, y1 = np.ceil(
            np.minimum(pixels.max(0) + 1, (self.camera.width, self.camera.height))
        ).astype(int)
        if x1 - x0 < 1 or y1 - y0 < 1:
            return
        texels = np.array([[span[0], 0], [span[1], 0], [span[1], height], [span[0], height]])
        shifted = (pixels - (x0, y0)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(texels.astype(np.float32), shifted)
        size = (int(x1 - x0), int(y1 - y0))
        warped = cv2.warpPerspective(texture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        area = np.zeros((size[1], size[0]), np.uint8)
        outline = _fixed(shifted)
        cv2.fillConvexPoly(area, outline, 255, cv2.LINE_8, _SHIFT)
        box = (slice(y0, y1), slice(x0, x1))
        cv2.copyTo(np.full_like(area, label), area, self.label[box])
        opaque: Any = area
        if mask is not None:
            seen = cv2.warpPerspective(mask, matrix, size)
            opaque = cv2.bitwise_and(area, cv2.threshold(seen, 127, 255, cv2.THRESH_BINARY)[1])
        # Inverse depth is affine in the column on any plane with vertical left and right edges.
        run = pixels[2, 0] - pixels[3, 0]
        slope = (1 / view[2, 2] - 1 / view[3, 2]) / run if abs(run) > 1e-3 else 0.0
        nearness = 1 / view[3, 2] + slope * (np.arange(x0, x1) - pixels[3, 0])
        cv2.copyTo(warped, opaque, self.paint[box])
        np.copyto(
            self.nearness[box],
            np.maximum(nearness, 1e-3).astype(np.float32)[None],
            where=opaque > 0,
        )

    def stamp(
        self,
        box: tuple[int, int, int, int],
        colors: Bytes,
        opaque: Bytes,
        extent: Bytes,
        label: int,
        depth: float,
    ) -> None:
        """Stamp a flat figure, stretched to a box of pixels.

        Args:
            box: left column, top row, width, height; may reach over the edges.
            colors: (h, w, 4) paint.
            opaque: (h, w) above 127 where the figure hides what is behind it.
            extent: (h, w) above 127 where the figure is labelled.
            label: class of the extent.
            depth: metres.
        """
        left, top, width, height = box
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + width, self.camera.width), min(top + height, self.camera.height)
        if x1 <= x0 or y1 <= y0:
            return
        across, down = width / opaque.shape[1], height / opaque.shape[0]
        matrix = np.array([[across, 0, left - x0], [0, down, top - y0]], np.float32)
        size, area = (x1 - x0, y1 - y0), (slice(y0, y1), slice(x0, x1))
        edge = cv2.BORDER_REPLICATE
        shown = cv2.threshold(
            cv2.warpAffine(opaque, matrix, size, borderMode=edge), 127, 255, cv2.THRESH_BINARY
        )[1]
        named = cv2.threshold(
            cv2.warpAffine(extent, matrix, size, borderMode=edge), 127, 255, cv2.THRESH_BINARY
        )[1]
        cv2.copyTo(cv2.warpAffine(colors, matrix, size, borderMode=edge), shown, self.paint[area])
        cv2.copyTo(np.full_like(named, label), named, self.label[area])
        np.copyto(self.nearness[area], np.float32(1.0 / depth), where=shown > 0)


_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.stack((np.cos(_ANGLES), np.sin(_ANGLES)), axis=1)

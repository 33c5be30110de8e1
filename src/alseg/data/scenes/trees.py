"""Trees, in leaf or bare, and the far skyline."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from alseg.data.scenes.canvas import BUILDING, TREE, Bytes, Canvas, Color, shaded
from alseg.data.scenes.light import Light
from alseg.data.scenes.textures import between, patch, pick, tinted

LEAVES: tuple[Color, ...] = (
    (58, 76, 38),
    (76, 92, 46),
    (44, 58, 36),
    (96, 104, 56),
    (34, 44, 30),
    (120, 110, 60),
    (84, 74, 48),
)
BARK: tuple[Color, ...] = ((62, 52, 44), (84, 74, 64), (44, 40, 36), (104, 96, 86))
MOST_PIXELS = 240
"""A tree is painted at most this large and stretched from there."""
_GRID = np.linspace(-1, 1, 28, dtype=np.float32)
_SQUARE = np.ones((5, 5), np.uint8)


def _crown(rng: np.random.Generator, size: int, low: float) -> Bytes:
    """A lumpy blob (size, size), 0 outside, bright inside; `low` is its lowest centre, -1 to 1."""
    x, y = _GRID[None, :], _GRID[:, None]
    field = np.zeros((28, 28), np.float32)
    for _ in range(6):
        cx, cy = between(rng, -0.45, 0.45), between(rng, -0.55, low)
        r = between(rng, 0.3, 0.5)
        field = np.maximum(field, 1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2)
    return cv2.resize((np.clip(field, 0, 1) * 255).astype(np.uint8), (size, size)).astype(np.uint8)


def _branches(rng: np.random.Generator, size: int, mask: Bytes) -> None:
    """Draw a bare tree into `mask` (size, size), its foot at the middle of the last row."""
    points = np.array([[0.5, 1.0]])
    angles = np.array([between(rng, -0.08, 0.08)])
    lengths = np.array([between(rng, 0.26, 0.4)])
    thickness = between(rng, 0.028, 0.045) * size
    spread = between(rng, 0.35, 0.6)
    for level in range(7 if size > 90 else 5):
        ends = points + lengths[:, None] * np.stack((np.sin(angles), -np.cos(angles)), 1)
        lines: Any = np.rint(np.stack((points, ends), 1) * size * 16).astype(np.int32)
        cv2.polylines(mask, lines, False, 255, max(1, round(thickness)), cv2.LINE_8, 4)
        children = 3 if level in (0, 1, 2) else 2
        count = len(ends) * children
        fan = np.tile(np.linspace(-1, 1, children), len(ends)) * spread
        points = np.repeat(ends, children, axis=0)
        angles = np.repeat(angles, children) + fan + 0.5 * (rng.random(count) - 0.5)
        lengths = np.repeat(lengths, children) * (0.55 + 0.3 * rng.random(count))
        thickness *= 0.6


def tree(
    canvas: Canvas,
    rng: np.random.Generator,
    light: Light,
    s: float,
    z: float,
    bare: bool,
    height: float,
) -> None:
    """Paint a tree `height` metres high at (s, z)."""
    x, foot, depth = canvas.camera.place(s, z)
    if depth < 2.0:
        return
    unit = canvas.camera.focal / depth
    tall = round(height * unit)
    if tall < 4:
        return
    wide = max(4, round(tall * between(rng, 0.55, 0.95)))
    size = min(tall, MOST_PIXELS)
    bright = between(rng, 0.7, 1.0) * max(light.wall(0.0, -1.0), 0.5)
    box = (round(x - 0.5 * wide), round(foot) - tall, wide, tall)
    if box[0] > canvas.camera.width or box[0] + wide < 0:
        return
    # Bushes are leafy down to the ground, trees show their trunk.
    crown = _crown(rng, size, 0.15 if height > 4 else 0.5)
    rough = patch(rng, size, size, 0.9, zoom=min(1.0, size / 200))
    bark = shaded(pick(rng, BARK), bright)
    trunk = np.zeros((size, size), np.uint8)
    paint = np.zeros((size, size, 4), np.uint8)
    if bare:
        _branches(rng, size, trunk)
        # The finest twigs are below a pixel: they darken part of the crown.
        twigs = cv2.bitwise_and(_above(crown, 20), _above(rough, int(between(rng, 140, 175))))
        opaque = cv2.bitwise_or(trunk, twigs)
        paint[..., :3] = tinted(rough, bark, 0.3)
        hull = _above(cv2.addWeighted(crown, 1.0, rough, 0.5, 0), 110)
        extent = cv2.bitwise_or(cv2.bitwise_or(hull, opaque), cv2.dilate(trunk, _SQUARE))
    else:
        half, middle = max(1, round(between(rng, 0.025, 0.05) * size)), size // 2
        trunk[middle:, middle - half : middle + half] = 255
        extent = _above(cv2.addWeighted(crown, 0.6, rough, 0.4, 0), 85)
        leaf = cv2.bitwise_and(extent, _above(rough, int(between(rng, 60, 100))))
        green = pick(rng, LEAVES)
        if rng.random() < 0.1:
            green = (200 * rng.random(), 200 * rng.random(), 120 * rng.random())
        clumps = patch(rng, size, size, 0.7)
        # Leaves are bright where the sky is above them, dark inside and below.
        fall = np.linspace(70, -60, size, dtype=np.float32)[:, None]
        clumps = np.clip(clumps + fall, 0, 255).astype(np.uint8)
        paint[..., :3] = tinted(clumps, shaded(green, bright), 1.0)
        paint[..., :3][(trunk > leaf)] = np.array(bark).astype(np.uint8)
        opaque, extent = cv2.bitwise_or(leaf, trunk), cv2.bitwise_or(extent, trunk)
    canvas.stamp(box, paint, opaque.astype(np.uint8), extent.astype(np.uint8), TREE, depth)


def _above(grey: cv2.typing.MatLike, threshold: int) -> Bytes:
    return cv2.threshold(grey, threshold, 255, cv2.THRESH_BINARY)[1].astype(np.uint8, copy=False)


def skyline(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    """Paint the far end of the world: rows of roofs and tree tops on the horizon."""
    camera = canvas.camera
    depth = 160.0
    unit = camera.focal / depth
    base = camera.horizon + camera.eye * unit + 2
    x = -10.0
    bright = light.wall(0.0, -1.0)
    leafy = rng.random()
    while x < camera.width + 10:
        if rng.random() < leafy:
            wide, tall = between(rng, 4, 14) * unit, between(rng, 4, 11) * unit
            color = shaded(pick(rng, LEAVES + BARK), bright)
            steps = np.linspace(0, 1, 9)
            bumps = tall * (0.65 + 0.35 * rng.random(9)) * np.sin(np.pi * steps) ** 0.4
            top = np.stack((x + wide * steps, base - bumps), axis=1)
            outline = np.concatenate((top, [[x + wide, base], [x, base]]))
            canvas.polygon(outline, color, TREE, depth)
            x += wide * between(rng, 0.5, 0.9)
        else:
            wide, tall = between(rng, 6, 18) * unit, between(rng, 5, 13) * unit
            wall = pick(rng, ((120, 90, 74), (170, 160, 146), (110, 106, 104), (200, 196, 188)))
            box = [[x, base], [x, base - tall], [x + wide, base - tall], [x + wide, base]]
            canvas.polygon(np.array(box), shaded(wall, bright), BUILDING, depth)
            roof = [[x, base - tall], [x + 0.5 * wide, base - 1.4 * tall], [x + wide, base - tall]]
            if rng.random() < 0.6:
                canvas.polygon(np.array(roof), shaded((84, 76, 72), bright), BUILDING, depth)
            x += wide

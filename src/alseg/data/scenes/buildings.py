"""Buildings: facades with windows, shops, roofs, chimneys and gables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from alseg.data.scenes.canvas import BUILDING, LAMP, LIT, SIGN, Bytes, Canvas, Color, shaded
from alseg.data.scenes.light import Light
from alseg.data.scenes.textures import between, patch, pick, tinted

WALLS: tuple[Color, ...] = (
    (140, 88, 66),
    (120, 72, 58),
    (165, 120, 88),
    (184, 160, 118),
    (170, 150, 120),
    (205, 200, 190),
    (225, 222, 215),
    (235, 232, 220),
    (150, 145, 138),
    (120, 118, 112),
    (92, 86, 80),
    (176, 132, 104),
    (60, 62, 70),
    (196, 178, 140),
)
ROOFS: tuple[Color, ...] = ((92, 74, 66), (112, 78, 62), (80, 82, 88), (62, 62, 66), (128, 92, 74))
FINE = 50.0
"""Distance in metres beyond which roofs and gables are plain."""

PAINTS: tuple[Color, ...] = (
    (30, 40, 90),
    (140, 30, 30),
    (28, 70, 48),
    (30, 30, 32),
    (200, 190, 170),
    (220, 220, 220),
    (190, 150, 40),
    (70, 30, 70),
    (60, 110, 150),
    (210, 90, 40),
)


@dataclass(frozen=True)
class Look:
    """What the houses of one terrace have in common; lengths in metres."""

    wall: Color
    trim: Color
    roof: Color
    storey: float
    bay: float
    window: tuple[float, float]
    grain: float
    ground_floor: str
    pitched: bool


def draw_look(rng: np.random.Generator, urban: float) -> Look:
    """Draw the look of a terrace; `urban` 0 to 1 makes shops and flat roofs likelier."""
    modern = rng.random() < 0.15 + 0.2 * urban
    bay = between(rng, 2.4, 4.2)
    tone = between(rng, 0.75, 1.15)
    wall = pick(rng, WALLS)
    if rng.random() < 0.15:
        wall = (255 * rng.random(), 255 * rng.random(), 255 * rng.random())
    return Look(
        wall=shaded(wall, tone),
        trim=pick(rng, ((235, 235, 230), (225, 220, 205), (70, 60, 55), (40, 42, 46))),
        roof=shaded(pick(rng, ROOFS), between(rng, 0.7, 1.2)),
        storey=between(rng, 2.6, 3.6),
        bay=bay,
        window=(
            bay * (between(rng, 0.6, 0.95) if modern else between(rng, 0.3, 0.5)),
            between(rng, 1.3, 2.1),
        ),
        grain=between(rng, 0.1, 0.45),
        ground_floor="shop" if rng.random() < 0.15 + 0.6 * urban else "home",
        pitched=not modern,
    )


def _window(rng: np.random.Generator, height: int, width: int, look: Look) -> Bytes:
    """Paint a window (height, width, 4) with frame, glass and bars."""
    tile = np.empty((height, width, 4), np.uint8)
    tile[:] = (*look.trim, 0)
    frame = max(1, round(0.07 * width)) if min(height, width) > 4 else 0
    glass = tile[frame : height - frame, frame : width - frame]
    # Glass mirrors the sky above and the dark street below.
    top = between(rng, 25, 150) if rng.random() < 0.6 else between(rng, 15, 60)
    step = (between(rng, 10, 60) - top) / max(len(glass), 1)
    fall = (top + step * np.arange(len(glass)))[:, None, None]
    glass[..., :3] = fall * (0.92, 0.98, 1.06)
    if rng.random() < 0.25:
        glass[: len(glass) // 2, :, :3] = between(rng, 120, 210)
    glass[..., 3] = int(LIT * between(rng, 0.5, 1.0)) if rng.random() < 0.45 else 0
    if frame and rng.random() < 0.7:
        bar = max(1, frame // 2)
        tile[height // 2 : height // 2 + bar, :] = (*look.trim, 0)
        tile[:, width // 2 : width // 2 + bar] = (*look.trim, 0)
    return tile


def _shop(rng: np.random.Generator, wall: Bytes, top: int, scale: float) -> None:
    """Paint a shop front onto the rows from `top` on: fascia, panes, door."""
    height, width = wall.shape[:2]
    if height - top < 3:
        return
    paint = pick(rng, PAINTS)
    wall[top:] = (*shaded(paint, 0.8), 0)
    fascia = max(1, round(0.22 * (height - top)))
    wall[top : top + fascia] = (*paint, 0)
    bright = (240, 235, 215) if sum(paint) < 330 else (40, 30, 30)
    letter = max(1, round(0.3 * scale))
    start, stop = int(width * between(rng, 0.08, 0.3)), int(width * between(rng, 0.5, 0.92))
    for x in range(start, stop, letter + max(1, letter // 3)):
        low = top + int(fascia * between(rng, 0.25, 0.4))
        high = top + int(fascia * between(rng, 0.6, 0.8))
        wall[low:high, x : x + max(1, int(letter * between(rng, 0.4, 1.0)))] = (*bright, 0)
    pane = max(3, round(between(rng, 1.2, 2.6) * scale))
    bar = max(1, round(0.08 * scale))
    sill = height - max(1, round(between(rng, 0.2, 0.7) * scale))
    glow = int(LIT * between(rng, 0.6, 1.0)) if rng.random() < 0.7 else 0
    for x in range(bar, width - 1, pane + bar):
        door = rng.random() < 0.2
        glass = wall[top + fascia + bar : height - bar if door else sill, x : x + pane]
        if glass.size:
            inside = patch(rng, glass.shape[0], glass.shape[1], 1.2, zoom=max(1.0, scale / 12))
            tone = between(rng, 30, 80)
            glass[..., :3] = tinted(inside, (tone, tone, 1.05 * tone), 0.9)
            glass[..., 3] = glow


def facade(
    rng: np.random.Generator, length: float, height: float, scale: float, look: Look, bright: float
) -> Bytes:
    """Paint a facade (h, w, 4) of length × height metres at `scale` pixels per metre."""
    h, w = max(6, round(height * scale)), max(6, round(length * scale))
    wall = np.zeros((h, w, 4), np.uint8)
    stones: Any = patch(rng, h, w, 0.9, zoom=max(1.0, scale / 14))
    if rng.random() < 0.5:
        courses = max(4, int(height / 0.15))
        if courses < h:
            rows = patch(rng, courses, max(4, w // 4), 0.3)
            stones = cv2.addWeighted(stones, 0.6, cv2.resize(rows, (w, h)), 0.4, 0)
    wall[..., :3] = tinted(stones, look.wall, look.grain)
    storeys = max(1, round(height / look.storey))
    tall = h / storeys
    bays = max(1, round(length / look.bay))
    wide = w / bays
    ww = min(max(2, round(look.window[0] * scale)), max(2, int(wide) - 1))
    wh = min(max(2, round(look.window[1] * scale)), max(2, int(0.75 * tall)))
    tiles = [_window(rng, wh, ww, look) for _ in range(3 if scale > 6 else 1)]
    for storey in range(storeys):
        y = int(storey * tall + 0.5 * (tall - wh))
        ground = storey == storeys - 1
        if ground and look.ground_floor == "shop":
            _shop(rng, wall, int(storey * tall), scale)
            continue
        for bay in range(bays):
            x = int((bay + 0.5) * wide - 0.5 * ww)
            if ground and bay % 2 == 1:
                door = max(2, round(0.95 * scale))
                wall[int(h - 0.72 * tall) :, x : x + door] = (*pick(rng, PAINTS), 0)
                continue
            wall[y : y + wh, x : x + ww] = pick(rng, tiles)[: h - y, : w - x]
        if rng.random() < 0.3:
            wall[int(storey * tall) : int(storey * tall) + max(1, round(0.15 * scale))] = (
                *look.trim,
                0,
            )
    gain = np.eye(4, dtype=np.float32) * (bright, bright, bright, 1.0)
    return cv2.transform(wall, gain).astype(np.uint8, copy=False)


@dataclass(frozen=True)
class Building:
    """A house of a terrace: from z0 to z1 along the road, its front at lateral position `front`."""

    side: int
    front: float
    z0: float
    z1: float
    height: float
    depth: float
    look: Look
    detached: bool

    def draw(self, canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
        """Paint it: the gable that faces the camera, the front, the roof, chimneys."""
        look, back = self.look, self.front + self.side * self.depth
        scale = min(max(canvas.camera.focal / max(self.z0, 4.0), 2.0), 22.0)
        self._gable(canvas, rng, light, back, scale)
        if look.pitched:
            self._roof(canvas, rng, light)
        front = self._upright(self.front, self.z1, self.front, self.z0)
        if not canvas.sees(front):
            return
        texture = facade(
            rng, self.z1 - self.z0, self.height, scale, look, light.wall(-self.side, 0.0)
        )
        canvas.panel(front, texture, BUILDING)
        if look.ground_floor == "shop" and rng.random() < 0.35 and self.z0 > 3.0:
            self._hanging_sign(canvas, rng, light)

    def _upright(self, s0: float, z0: float, s1: float, z1: float) -> np.ndarray:
        top = self.height
        return np.array([[s0, top, z0], [s1, top, z1], [s1, 0, z1], [s0, 0, z0]], float)

    def _gable(
        self, canvas: Canvas, rng: np.random.Generator, light: Light, back: float, scale: float
    ) -> None:
        bright = light.wall(0.0, -1.0)
        near, far = sorted((self.front, back))
        wall = self._upright(near, self.z0, far, self.z0)
        if not canvas.sees(wall):
            return
        if not self.detached or self.z0 > FINE:
            canvas.face(wall, shaded(self.look.wall, bright), BUILDING)
            return
        plain = Look(
            self.look.wall,
            self.look.trim,
            self.look.roof,
            self.look.storey,
            self.depth / 2,
            (0.9, 1.3),
            self.look.grain,
            "home",
            self.look.pitched,
        )
        texture = facade(rng, self.depth, self.height, 0.6 * scale, plain, bright)
        canvas.panel(wall, texture, BUILDING)
        if self.look.pitched:
            peak = [0.5 * (self.front + back), self.height + 0.35 * self.depth, self.z0]
            gable = [[self.front, self.height, self.z0], peak, [back, self.height, self.z0]]
            canvas.face(np.array(gable), shaded(self.look.wall, bright), BUILDING)

    def _roof(self, canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
        ridge, top = self.front + 0.5 * self.side * self.depth, self.height + 0.35 * self.depth
        color = shaded(self.look.roof, 0.5 * (light.wall(-self.side, 0.0) + light.flat))
        corners = np.array(
            [
                [ridge, top, self.z1],
                [ridge, top, self.z0],
                [self.front, self.height, self.z0],
                [self.front, self.height, self.z1],
            ]
        )
        for share in (0.1, 0.9):
            if rng.random() < 0.5:
                z = self.z0 + share * (self.z1 - self.z0)
                stack = between(rng, 0.8, 1.6)
                chimney = [
                    [ridge - 0.5, top - 0.4, z],
                    [ridge + 0.5, top - 0.4, z],
                    [ridge + 0.5, top + stack, z],
                    [ridge - 0.5, top + stack, z],
                ]
                canvas.face(np.array(chimney), shaded(self.look.wall, 0.7), BUILDING)
        if self.z0 > FINE:
            canvas.face(corners, color, BUILDING)
            return
        texture = np.zeros((24, 48, 4), np.uint8)
        texture[..., :3] = tinted(patch(rng, 24, 48, 0.8), color, 0.4)
        canvas.panel(corners, texture, BUILDING)

    def _hanging_sign(self, canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
        z, y = between(rng, self.z0, self.z1), between(rng, 2.8, 4.0)
        out, tall = self.front - self.side * between(rng, 0.5, 1.0), between(rng, 0.5, 1.2)
        board = [[self.front, y, z], [out, y, z], [out, y + tall, z], [self.front, y + tall, z]]
        color = shaded(pick(rng, PAINTS), light.wall(0.0, -1.0))
        canvas.face(np.array(board), color, SIGN, LAMP if rng.random() < 0.3 else 0)

"""Street furniture: lamp posts, traffic lights, signs, bollards, fences, walls, clutter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alseg.data.scenes.canvas import (
    BUILDING,
    FENCE,
    LAMP,
    POLE,
    SIGN,
    TREE,
    VOID,
    Canvas,
    Color,
    shaded,
)
from alseg.data.scenes.light import Light
from alseg.data.scenes.textures import between, patch, pick, tinted

METALS: tuple[Color, ...] = (
    (60, 62, 62),
    (90, 94, 96),
    (130, 134, 136),
    (170, 174, 176),
    (34, 36, 38),
    (40, 60, 48),
    (205, 205, 200),
)


def _post(
    canvas: Canvas, s: float, z: float, height: float, width: float, color: Color
) -> tuple[float, float, float, float] | None:
    """Paint an upright post; returns column, top row, pixels per metre and depth."""
    x, foot, depth = canvas.camera.place(s, z)
    if depth < 1.5:
        return None
    unit = canvas.camera.focal / depth
    top = foot - height * unit
    canvas.stroke(((x, foot), (x, top)), width * unit, color, POLE, depth)
    if width * unit > 3:
        lit = x - 0.2 * width * unit
        canvas.stroke(
            ((lit, foot), (lit, top)), 0.25 * width * unit, shaded(color, 1.35), None, depth
        )
    return x, top, unit, depth


def lamp_post(
    canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float, inward: int
) -> None:
    """Paint a street lamp whose arm reaches over the road, towards `inward` (-1 or 1)."""
    color = shaded(pick(rng, METALS), light.wall(0.0, -1.0))
    height, width = between(rng, 5.0, 9.5), between(rng, 0.1, 0.19)
    post = _post(canvas, s, z, height, width, color)
    if post is None:
        return
    x, top, unit, depth = post
    arm = inward * between(rng, 0.3, 1.6) * unit
    tip = (x + arm, top - between(rng, 0.0, 0.5) * unit)
    canvas.stroke(((x, top), tip), 0.7 * width * unit, color, POLE, depth)
    axes = (max(0.35 * unit, 0.8), max(0.1 * unit, 0.6))
    canvas.ellipse(tip, axes, (215, 215, 200), POLE, depth, LAMP)
    if rng.random() < 0.3:
        _plate(canvas, rng, x, top + (height - between(rng, 2.2, 3.2)) * unit, unit, depth, light)


def _plate(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    unit: float,
    depth: float,
    light: Light,
) -> None:
    """Paint one traffic sign around (x, y): disc, triangle, board or its grey back."""
    bright = max(light.wall(0.0, -1.0), 0.5)
    size = between(rng, 0.22, 0.42) * unit
    kind = rng.random()
    if kind < 0.3:
        canvas.ellipse((x, y), (size, size), shaded((195, 30, 35), bright), SIGN, depth)
        canvas.ellipse(
            (x, y), (0.7 * size, 0.7 * size), shaded((235, 235, 230), bright), SIGN, depth
        )
        return
    if kind < 0.45:
        canvas.ellipse((x, y), (size, size), shaded((25, 70, 160), bright), SIGN, depth)
        canvas.stroke(
            ((x - 0.5 * size, y), (x + 0.5 * size, y)), 0.25 * size, (230, 230, 230), SIGN, depth
        )
        return
    if kind < 0.6:
        triangle = np.array([[0, -1.1], [1.05, 0.8], [-1.05, 0.8]]) * size
        canvas.polygon(np.add(triangle, (x, y)), shaded((195, 30, 35), bright), SIGN, depth)
        canvas.polygon(np.add(0.6 * triangle, (x, y)), shaded((235, 235, 230), bright), SIGN, depth)
        return
    wide, tall = size * between(rng, 0.7, 1.8), size * between(rng, 0.7, 1.8)
    board = np.array([[-wide, -tall], [wide, -tall], [wide, tall], [-wide, tall]])
    paint = pick(
        rng,
        (
            (225, 225, 220),
            (20, 90, 60),
            (25, 70, 160),
            (225, 180, 40),
            (110, 112, 116),
            (40, 40, 44),
        ),
    )
    canvas.polygon(np.add(board, (x, y)), shaded(paint, bright), SIGN, depth)
    ink = shaded((30, 30, 34) if sum(paint) > 400 else (235, 235, 230), bright)
    for row in (-0.45, 0.0, 0.45):
        if rng.random() < 0.7:
            reach = between(rng, 0.3, 0.8) * wide
            line = ((x - reach, y + row * tall), (x + reach, y + row * tall))
            canvas.stroke(line, 0.18 * tall, ink, SIGN, depth)


def sign_post(canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float) -> None:
    """Paint a post with one or two traffic signs."""
    color = shaded(pick(rng, METALS), light.wall(0.0, -1.0))
    height = between(rng, 2.2, 3.4)
    post = _post(canvas, s, z, height, between(rng, 0.07, 0.13), color)
    if post is None:
        return
    x, top, unit, depth = post
    _plate(canvas, rng, x, top + 0.2 * unit, unit, depth, light)
    if rng.random() < 0.35:
        _plate(canvas, rng, x, top + 0.95 * unit, unit, depth, light)


def traffic_light(
    canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float
) -> None:
    """Paint a traffic light with one or two heads; one of three lamps is lit."""
    post = _post(canvas, s, z, between(rng, 3.0, 4.0), between(rng, 0.1, 0.16), (70, 72, 74))
    if post is None:
        return
    x, top, unit, depth = post
    for head in range(1 + (rng.random() < 0.4)):
        cx = x + (0.0 if head == 0 else pick(rng, (-0.45, 0.45)) * unit)
        half, tall = 0.17 * unit, 0.95 * unit
        box = np.add([[-half, 0], [half, 0], [half, tall], [-half, tall]], (cx, top))
        if rng.random() < 0.5:
            w, low = 1.5 * half, tall + half
            back = np.add([[-w, -half], [w, -half], [w, low], [-w, low]], (cx, top))
            canvas.polygon(back, (30, 30, 32), SIGN, depth)
        canvas.polygon(box, (22, 24, 24), SIGN, depth)
        lit = int(rng.random() * 3)
        for lamp, color in enumerate(((235, 50, 40), (240, 170, 40), (60, 230, 150))):
            centre = (cx, top + (0.18 + 0.3 * lamp) * unit)
            tone = color if lamp == lit else shaded(color, 0.2)
            axes = (max(0.7 * half, 0.5), max(0.7 * half, 0.5))
            canvas.ellipse(centre, axes, tone, SIGN, depth, LAMP if lamp == lit else 0)


def bollard(canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float) -> None:
    """Paint a bollard, a pole by class."""
    color = shaded(pick(rng, METALS), light.wall(0.0, -1.0))
    _post(canvas, s, z, between(rng, 0.8, 1.2), between(rng, 0.1, 0.2), color)


def billboard(canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float) -> None:
    """Paint an advertising board or a totem that faces the camera."""
    wide, tall, low = between(rng, 0.4, 1.2), between(rng, 1.2, 2.6), between(rng, 0.2, 1.2)
    bright = max(light.wall(0.0, -1.0), 0.5)
    paint: Color = (230 * rng.random(), 200 * rng.random(), 200 * rng.random())
    for share, tone in ((1.0, paint), (0.75, pick(rng, ((235, 230, 220), (240, 200, 60), paint)))):
        half, high = share * wide, low + (0.5 + 0.5 * share) * tall
        base = low + (0.5 - 0.5 * share) * tall
        board = [[s - half, base, z], [s + half, base, z], [s + half, high, z], [s - half, high, z]]
        canvas.face(np.array(board), shaded(tone, bright), SIGN)


@dataclass(frozen=True)
class Barrier:
    """A railing, panel fence, hedge or wall along the road from z0 to z1 at lateral position s."""

    s: float
    z0: float
    z1: float
    height: float
    kind: str
    side: int

    def draw(self, canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
        """Paint it; what is seen through a railing is labelled with the railing."""
        top = self.height
        corners = np.array(
            [
                [self.s, y, z]
                for y, z in ((top, self.z1), (top, self.z0), (0, self.z0), (0, self.z1))
            ]
        )
        if not canvas.sees(corners):
            return
        bright = light.wall(-self.side, 0.0)
        length = self.z1 - self.z0
        scale = float(np.clip(canvas.camera.focal / max(self.z0, 4.0), 4.0, 26.0))
        h, w = max(5, round(self.height * scale)), int(np.clip(length * scale, 5, 500))
        texture = np.zeros((h, w, 4), np.uint8)
        mask = None
        label = FENCE
        if self.kind == "railing":
            texture[..., :3] = np.array(shaded(pick(rng, METALS), bright), np.float32)
            mask = np.zeros((h, w), np.uint8)
            gap = max(2.0, between(rng, 0.12, 0.3) * w / length)
            bar = max(1, round(0.3 * gap))
            for x in np.arange(0.0, w, gap):
                mask[:, int(x) : int(x) + bar] = 255
            rail = max(1, round(0.06 * scale))
            mask[:rail] = 255
            mask[int(0.85 * h) : int(0.85 * h) + rail] = 255
        elif self.kind == "panels":
            wood = pick(
                rng, ((120, 92, 66), (96, 84, 70), (140, 120, 96), (70, 62, 52), (60, 90, 70))
            )
            texture[..., :3] = tinted(patch(rng, h, w, 0.8, 2.0), shaded(wood, bright), 0.4)
            for x in np.arange(0.0, w, max(2.0, 1.8 * w / length)):
                texture[:, int(x) : int(x) + max(1, round(0.08 * scale)), :3] //= 2
        elif self.kind == "hedge":
            green = pick(rng, ((46, 62, 34), (62, 78, 40), (36, 46, 30), (80, 82, 48)))
            texture[..., :3] = tinted(patch(rng, h, w, 0.7), shaded(green, bright), 0.95)
            label = TREE
        else:
            stone = pick(rng, ((140, 92, 70), (150, 140, 120), (110, 106, 100), (90, 76, 66)))
            texture[..., :3] = tinted(patch(rng, h, w, 0.8), shaded(stone, bright), 0.35)
            label = BUILDING
        canvas.panel(corners, texture, label, mask)


def clutter(canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float) -> None:
    """Paint a bin, a post box or a heap of bags: things outside the classes."""
    wide, tall = between(rng, 0.2, 0.5), between(rng, 0.6, 1.3)
    paint = pick(rng, ((30, 34, 32), (150, 30, 30), (90, 90, 94), (36, 60, 44), (200, 190, 180)))
    bright = light.wall(0.0, -1.0)
    front = [[s - wide, 0, z], [s + wide, 0, z], [s + wide, tall, z], [s - wide, tall, z]]
    canvas.face(np.array(front), shaded(paint, bright), VOID)

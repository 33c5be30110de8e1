"""Pedestrians, cyclists and parked bicycles, as flat figures that face the camera."""

from __future__ import annotations

import numpy as np

from alseg.data.scenes.canvas import BICYCLIST, PEDESTRIAN, Canvas, Color, shaded
from alseg.data.scenes.light import Light
from alseg.data.scenes.textures import between, pick

CLOTHES: tuple[Color, ...] = (
    (24, 24, 28),
    (36, 38, 46),
    (40, 46, 70),
    (60, 56, 52),
    (84, 80, 76),
    (30, 50, 96),
    (120, 30, 34),
    (150, 146, 140),
    (205, 202, 196),
    (70, 84, 60),
    (150, 110, 70),
    (180, 60, 90),
)
SKINS: tuple[Color, ...] = ((214, 170, 145), (196, 150, 122), (140, 98, 74), (92, 62, 48))
HAIR: tuple[Color, ...] = ((30, 24, 22), (62, 44, 32), (120, 90, 56), (150, 146, 142))


def _clothes(rng: np.random.Generator, bright: float) -> Color:
    color = pick(rng, CLOTHES)
    if rng.random() < 0.15:
        color = (255 * rng.random(), 255 * rng.random(), 255 * rng.random())
    return shaded(color, bright * between(rng, 0.7, 1.2))


def _head(
    canvas: Canvas,
    rng: np.random.Generator,
    centre: tuple[float, float],
    unit: float,
    label: int,
    depth: float,
    bright: float,
) -> None:
    axes = (0.055 * unit, 0.075 * unit)
    hair = shaded(pick(rng, HAIR), bright)
    canvas.ellipse(centre, axes, hair, label, depth)
    if rng.random() < 0.6:
        face = (centre[0], centre[1] + 0.018 * unit)
        canvas.ellipse(
            face, (0.04 * unit, 0.05 * unit), shaded(pick(rng, SKINS), bright), label, depth
        )


def pedestrian(canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float) -> None:
    """Paint a person who stands or walks at (s, z)."""
    x, feet, depth = canvas.camera.place(s, z)
    if depth < 1.5:
        return
    unit = canvas.camera.focal / depth * between(rng, 1.5, 1.9)
    bright = max(light.wall(0.0, -1.0), 0.45)
    coat, trousers = _clothes(rng, bright), _clothes(rng, bright)
    skirt = rng.random() < 0.2
    stride = between(rng, 0.0, 0.16) * unit
    turned = between(rng, 0.75, 1.1)
    hip, shoulder = feet - 0.5 * unit, feet - 0.82 * unit
    for foot in (-1, 1):
        ends = ((x + foot * 0.04 * unit, hip), (x + foot * (0.03 * unit + 0.5 * stride), feet))
        canvas.stroke(
            ends, 0.085 * unit, trousers if not skirt else shaded(coat, 0.7), PEDESTRIAN, depth
        )
    w, hem = 0.13 * unit * turned, feet - (0.3 if skirt else between(rng, 0.38, 0.48)) * unit
    torso = [
        [x - 0.7 * w, shoulder - 0.03 * unit],
        [x + 0.7 * w, shoulder - 0.03 * unit],
        [x + w, shoulder + 0.04 * unit],
        [x + 0.85 * w, hem],
        [x - 0.85 * w, hem],
        [x - w, shoulder + 0.04 * unit],
    ]
    canvas.polygon(np.array(torso), coat, PEDESTRIAN, depth)
    for arm in (-1, 1):
        swing = between(rng, -0.05, 0.08) * unit
        ends = ((x + arm * w, shoulder + 0.03 * unit), (x + arm * (w + swing), hip + 0.02 * unit))
        canvas.stroke(ends, 0.06 * unit, shaded(coat, 0.85), PEDESTRIAN, depth)
    if rng.random() < 0.3:
        bag = (x + pick(rng, (-1, 1)) * 1.1 * w, hip - 0.05 * unit)
        canvas.ellipse(bag, (0.06 * unit, 0.09 * unit), _clothes(rng, bright), PEDESTRIAN, depth)
    _head(canvas, rng, (x, feet - 0.92 * unit), unit, PEDESTRIAN, depth, bright)


def _wheel(
    canvas: Canvas,
    centre: tuple[float, float],
    axes: tuple[float, float],
    depth: float,
    backdrop: Color,
) -> None:
    """Paint a wheel; what is seen through the spokes is labelled with it, as people label it."""
    canvas.ellipse(centre, axes, (28, 28, 30), BICYCLIST, depth)
    inner = (0.84 * axes[0], 0.84 * axes[1])
    if min(inner) > 1.5:
        canvas.ellipse(centre, inner, backdrop, BICYCLIST, depth)


def cyclist(
    canvas: Canvas, rng: np.random.Generator, light: Light, s: float, z: float, rider: bool
) -> None:
    """Paint a bicycle at (s, z), with or without its rider, from behind or from the side."""
    x, ground, depth = canvas.camera.place(s, z)
    if depth < 1.8:
        return
    unit = canvas.camera.focal / depth
    bright = max(light.wall(0.0, -1.0), 0.45)
    # 0 is seen from behind or ahead, 1 from the side.
    broadside = between(rng, 0.0, 0.35) if rider and rng.random() < 0.65 else between(rng, 0.5, 1.0)
    base = 0.52 * unit * broadside * pick(rng, (-1, 1))
    radius, spread = 0.34 * unit, max(0.34 * unit * broadside, 0.03 * unit)
    frame = shaded(pick(rng, ((30, 30, 34), (150, 30, 30), (40, 70, 140), (170, 170, 170))), bright)
    probe_row = int(np.clip(ground - radius, 0, canvas.camera.height - 1))
    probe_column = int(np.clip(x, 0, canvas.camera.width - 1))
    r, g, b = (float(v) for v in canvas.paint[probe_row, probe_column, :3])
    for end in (-1, 1):
        _wheel(canvas, (x + end * base, ground - radius), (spread, radius), depth, (r, g, b))
    seat, bars = (x - 0.35 * base, ground - 0.92 * unit), (x + 0.75 * base, ground - 1.02 * unit)
    crank = (x - 0.05 * base, ground - 0.3 * unit)
    tube = max(0.045 * unit, 1.0)
    rear, front = (x - base, ground - radius), (x + base, ground - radius)
    canvas.stroke((rear, crank, bars, seat, crank), tube, frame, BICYCLIST, depth)
    canvas.stroke((rear, seat), tube, frame, BICYCLIST, depth)
    canvas.stroke((front, bars), tube, frame, BICYCLIST, depth)
    grip = 0.27 * unit * (1 - 0.7 * broadside)
    canvas.stroke(
        ((bars[0] - grip, bars[1]), (bars[0] + grip, bars[1])), tube, (30, 30, 32), BICYCLIST, depth
    )
    if not rider:
        return
    coat, trousers = _clothes(rng, bright), _clothes(rng, bright)
    if rng.random() < 0.25:
        coat = shaded((200, 225, 40), bright)
    narrow = 1 - broadside
    shoulder = (x + 0.3 * base, ground - 1.45 * unit)
    for leg in (-1, 1):
        knee = (x + 0.3 * base + leg * 0.12 * unit * narrow, ground - (0.62 + 0.06 * leg) * unit)
        foot = (x + leg * 0.1 * unit * narrow, ground - (0.22 + 0.1 * leg) * unit)
        canvas.stroke((seat, knee, foot), 0.13 * unit, trousers, BICYCLIST, depth)
    half = (0.13 + 0.1 * narrow) * unit
    torso = [
        [shoulder[0] - half, shoulder[1]],
        [shoulder[0] + half, shoulder[1]],
        [seat[0] + 0.8 * half, seat[1] + 0.04 * unit],
        [seat[0] - 0.8 * half, seat[1] + 0.04 * unit],
    ]
    canvas.polygon(np.array(torso), coat, BICYCLIST, depth)
    for arm in (-1, 1):
        elbow = (shoulder[0] + arm * half, shoulder[1] + 0.05 * unit)
        canvas.stroke(
            (elbow, (bars[0] + arm * grip, bars[1])),
            0.09 * unit,
            shaded(coat, 0.85),
            BICYCLIST,
            depth,
        )
    head = (shoulder[0] + 0.12 * base, shoulder[1] - 0.15 * unit)
    _head(canvas, rng, head, 1.7 * unit, BICYCLIST, depth, bright)

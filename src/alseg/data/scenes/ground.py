"""The ground: asphalt, markings, kerbs, pavements, grass and the shadows on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alseg.data.scenes.canvas import PAVEMENT, ROAD, TREE, Bytes, Canvas, Color
from alseg.data.scenes.light import Light
from alseg.data.scenes.street import END, Kerbside, Street
from alseg.data.scenes.textures import TILE, between, noise, pick

Grid = NDArray[np.float32]
Mask = NDArray[np.bool_]

FINE = 40.0
"""Distance in metres beyond which the shadows of thin things are left out."""

WHITE: Color = (205, 205, 200)
YELLOW: Color = (190, 165, 70)
SLABS: tuple[Color, ...] = (
    (128, 124, 118),
    (110, 108, 106),
    (145, 138, 128),
    (120, 104, 94),
    (100, 102, 106),
)
GRASS: tuple[Color, ...] = ((78, 100, 44), (92, 110, 60), (104, 104, 62), (64, 84, 44))


@dataclass
class Surface:
    """The ground while it is laid: where it lies, what it is and how bright, all (h, W).

    Attributes:
        s: street coordinate of each pixel.
        z: street coordinate of each pixel.
        near: whether details of some centimetres can still be told apart, per row.
        material: index into `palette`.
        bright: brightness over that of the material.
        palette: colours of the materials.
        labels: class of each material.
    """

    s: Grid
    z: Grid
    near: int
    material: Bytes
    bright: Grid
    palette: list[Color]
    labels: list[int]

    def lay(self, mask: Mask, color: Color, label: int) -> None:
        """Cover the masked pixels with a new material."""
        self.material[mask] = len(self.palette)
        self.palette.append(color)
        self.labels.append(label)

    def speckle(self, exponent: float, scale: float, offset: float, amount: float) -> None:
        """Vary the brightness by noise of `scale` texels per metre."""
        self.bright += amount / 128 * _lookup(self.s, self.z, exponent, scale, offset)


def paint_ground(canvas: Canvas, rng: np.random.Generator, street: Street, light: Light) -> None:
    """Paint everything below the horizon, lit and shadowed."""
    first, s, z, depth = canvas.camera.ground()
    tone, tint = between(rng, 85, 135), between(rng, -8, 8)
    asphalt = (tone - 0.6 * tint, tone, tone + tint)
    ground = Surface(
        s=s,
        z=z,
        near=int(np.searchsorted(-depth[:, 0], -25.0)),
        material=np.zeros(s.shape, np.uint8),
        bright=np.ones(s.shape, np.float32),
        palette=[asphalt],
        labels=[ROAD],
    )
    _wear(rng, ground)
    _markings(rng, ground, street)
    for kerbside in street.kerbsides:
        _kerbside(rng, ground, kerbside)
    _grain(rng, ground, depth)
    ground.bright *= light.flat * _shade(canvas, street, light, first, s, z)
    table = np.asarray(ground.palette, np.float32)
    # Far ground takes on the brightness of the sky that it mirrors at grazing angles.
    mirrored = 12 * np.minimum(depth / 60.0, 1)
    for channel in range(3):
        color = table[:, channel][ground.material] * ground.bright + mirrored
        canvas.paint[first:, :, channel] = np.minimum(np.maximum(color, 0), 255).astype(np.uint8)
    canvas.label[first:] = np.asarray(ground.labels, np.uint8)[ground.material]
    canvas.nearness[first:] = 1.0 / depth


def _lookup(s: Grid, z: Grid, exponent: float, scale: float, offset: float) -> Grid:
    """Noise around 0 at ground points, `scale` texels per metre."""
    tile = noise(exponent)[:TILE, :TILE].ravel()
    rows = (z * scale + offset).astype(np.int32) & (TILE - 1)
    columns = (s * scale + offset).astype(np.int32) & (TILE - 1)
    return tile[rows * TILE + columns].astype(np.float32) - 128.0


def _every(values: Grid, period: float, width: float) -> Mask:
    """Where the values lie in the first `width` of each period."""
    share = values * np.float32(1 / period)
    return np.asarray(share - np.floor(share) < width / period)


def _wear(rng: np.random.Generator, ground: Surface) -> None:
    """Stain the asphalt and lay patches of other asphalt."""
    ground.speckle(1.4, between(rng, 3, 7), 512 * rng.random(), between(rng, 0.05, 0.4))
    s, z = ground.s, ground.z
    for _ in range(int(between(rng, 0, 4))):
        s0, z0 = between(rng, -4, 3), between(rng, 2, 25)
        s1, z1 = s0 + between(rng, 0.5, 3), z0 + between(rng, 1, 12)
        ground.bright[(s > s0) & (s < s1) & (z > z0) & (z < z1)] *= between(rng, 0.75, 1.15)


def _markings(rng: np.random.Generator, ground: Surface, street: Street) -> None:
    """Paint the centre line, edge lines, a stop line, a zebra crossing or a box junction."""
    left, right = street.kerbsides
    s, z = ground.s, ground.z
    worn = between(rng, 0.6, 1.0)
    asphalt = ground.palette[0]

    def paint(mask: Mask, color: Color = WHITE) -> None:
        r, g, b = (worn * c + (1 - worn) * a for c, a in zip(color, asphalt, strict=True))
        ground.lay(mask, (r, g, b), ROAD)

    middle = 0.5 * (right.kerb - left.kerb)
    period, dash = between(rng, 4, 9), between(rng, 0.4, 0.7)
    dashes = _every(z, period, dash * period)
    if rng.random() < 0.8:
        paint((np.abs(s - middle) < 0.07) & dashes)
    if rng.random() < 0.25:
        lane = middle + pick(rng, (-1, 1)) * between(rng, 2.5, 3.5)
        paint((np.abs(s - lane) < 0.06) & dashes)
    for kerbside in street.kerbsides:
        inwards = kerbside.kerb - kerbside.side * s
        kind = rng.random()
        if kind < 0.35:
            paint((np.abs(inwards - 0.25) < 0.05) | (np.abs(inwards - 0.45) < 0.05), YELLOW)
        elif kind < 0.55:
            paint((np.abs(inwards - 1.4) < 0.06) & _every(z, 2.0, 1.1))
    on_road = (s > -left.kerb) & (s < right.kerb)
    if rng.random() < 0.3:
        stop = between(rng, 4, 20)
        paint(on_road & (np.abs(z - stop) < 0.15) & (s < middle))
    if rng.random() < 0.15:
        z0 = between(rng, 5, 20)
        paint(on_road & (z > z0) & (z < z0 + 2.6) & _every(s, 1.1, 0.55))
    if rng.random() < 0.15:
        z0 = between(rng, 4, 15)
        hatch = _every(s + z, 2.0, 0.13) | _every(s - z, 2.0, 0.13)
        paint(on_road & (z > z0) & (z < z0 + 7) & hatch, YELLOW)


def _kerbside(rng: np.random.Generator, ground: Surface, kerbside: Kerbside) -> None:
    """Lay kerb, pavement and garden of one side, with its side streets."""
    s, z = ground.s, ground.z
    out = kerbside.side * s - kerbside.kerb
    paved = out > 0
    for z0, z1 in kerbside.junctions:
        if z1 < -5:
            continue
        # A quarter circle rounds the corner of a side street.
        inside = (z > z0) & (z < z1)
        corner = np.minimum(np.abs(z - z0), np.abs(z - z1))
        cut_off = (corner < 2) & (out < 2) & ((2 - out) ** 2 + (2 - corner) ** 2 > 4)
        paved &= ~(inside | cut_off)
    r, g, b = pick(rng, SLABS)
    tone = between(rng, 0.75, 1.2)
    ground.lay(paved, (tone * r, tone * g, tone * b), PAVEMENT)
    slabs, size = rng.random() < 0.6, between(rng, 0.45, 0.9)
    if slabs:
        rows = slice(ground.near, None)
        joints = _every(s[rows], size, 0.04) | _every(z[rows], size, 0.05)
        ground.bright[rows][paved[rows] & joints] *= 0.78
    ground.bright[paved & (out < 0.16)] *= between(rng, 0.8, 1.5)
    ground.bright[(out < 0) & (out > -0.12)] *= 0.7
    r, g, b = pick(rng, GRASS)
    if kerbside.verge:
        strip = paved & (out > kerbside.pavement * 0.45) & (out < kerbside.pavement)
    else:
        strip = paved & (out > kerbside.pavement)
        if kerbside.front - kerbside.kerb < kerbside.pavement + 1.4:
            return
        for z0, z1 in kerbside.junctions:
            strip &= (z < z0 - 2.0) | (z > z1 + 2.0)
    ground.lay(strip, (tone * r, tone * g, tone * b), TREE)
    blades = _lookup(s, z, 0.6, 30.0, 512 * rng.random())
    ground.bright[strip] += 0.004 * blades[strip]


def _grain(rng: np.random.Generator, ground: Surface, depth: Grid) -> None:
    """Add the grain of stones, which the distance averages out."""
    fade = 1 - np.minimum(depth / 25.0, 1)
    scale, offset, amount = between(rng, 40, 90), 512 * rng.random(), between(rng, 0.1, 0.25)
    grain = _lookup(ground.s, ground.z, 0.2, scale, offset)
    ground.bright += (amount / 128 * fade) * grain


def _shade(
    canvas: Canvas, street: Street, light: Light, first: int, s: Grid, z: Grid
) -> NDArray[np.float32]:
    """How much of the light reaches each ground point, (h, W) in 0..1."""
    camera = canvas.camera
    dark = int(255 * light.shadow)
    shade = np.full((camera.height, camera.width), 255, np.uint8)
    ds, dz = light.reach
    if light.ambient < 0.8:
        bins = np.clip(((z + 10.0) * 2).astype(np.int32), 0, int(2 * END) + 40)
        for kerbside in street.kerbsides:
            edge = np.full(int(2 * END) + 41, -np.inf, np.float32)
            for house in street.buildings:
                if house.side == kerbside.side:
                    start = int(np.clip((house.z0 + house.height * dz + 10) * 2, 0, len(edge)))
                    stop = int(np.clip((house.z1 + house.height * dz + 10) * 2, 0, len(edge)))
                    reach = -house.side * (house.front + house.height * ds)
                    edge[start:stop] = np.maximum(edge[start:stop], reach)
            shade[first:][-kerbside.side * s < edge[bins]] = dark
        for s0, z0, height, width in street.posts:
            if z0 > FINE:
                continue
            half = 0.5 * width
            s1, z1 = s0 + height * ds, z0 + height * dz
            strip = np.array(
                [[s0 - half, 0, z0], [s0 + half, 0, z0], [s1 + half, 0, z1], [s1 - half, 0, z1]]
            )
            _fill(canvas, shade, strip, dark)
    for vehicle in street.vehicles:
        footprint = vehicle.footprint
        _fill(canvas, shade, footprint, int(0.35 * dark))
        if light.ambient < 0.8:
            thrown = footprint + np.array([ds, 0, dz]) * 0.8
            _fill(canvas, shade, thrown, dark)
            _fill(canvas, shade, footprint, int(0.4 * dark))
    for s0, z0, _, _ in street.posts:
        if z0 < FINE:
            _fill(canvas, shade, _square(s0, z0, 0.25), int(0.6 * dark))
    soft = cv2.blur(shade[first:], (3, 3)) if camera.width > 100 else shade[first:]
    return np.divide(soft, 255, dtype=np.float32)


def _square(s: float, z: float, half: float) -> NDArray[np.float64]:
    corners = ((-half, -half), (half, -half), (half, half), (-half, half))
    return np.array([[s + ds, 0, z + dz] for ds, dz in corners])


def _fill(canvas: Canvas, shade: Bytes, points: NDArray[np.float64], value: int) -> None:
    seen = canvas.camera.outline(points)
    if seen is not None:
        pixels: Any = [np.rint(np.clip(seen[0], -30_000, 30_000)).astype(np.int32)]
        cv2.fillPoly(shade, pixels, value)

"""Cars, vans and buses: extruded side profiles with glass, lamps and wheels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from alseg.data.scenes.camera import NEAR, Floats, cut
from alseg.data.scenes.canvas import CAR, LAMP, LIT, Canvas, Color, shaded
from alseg.data.scenes.light import Light
from alseg.data.scenes.textures import between, pick

BODIES: tuple[Color, ...] = (
    (185, 188, 192), (160, 162, 166), (205, 208, 210), (28, 30, 34), (40, 44, 52), (232, 232, 230),
    (26, 40, 92), (50, 80, 140), (130, 22, 28), (170, 36, 36), (24, 66, 52), (96, 100, 104),
    (140, 160, 180), (196, 184, 150), (220, 180, 40), (20, 22, 26), (60, 64, 70),
)  # fmt: skip
GLASS: Color = (38, 44, 52)
TYRE: Color = (22, 22, 24)

# Share of the length from the front, share of the height, what the strip up to the next point is.
PROFILES: dict[str, tuple[tuple[float, float, str], ...]] = {
    "hatchback": (
        (0.00, 0.18, "bumper"), (0.00, 0.48, "nose"), (0.03, 0.56, "bonnet"),
        (0.26, 0.66, "windscreen"), (0.42, 0.96, "roof"), (0.58, 1.00, "roof"),
        (0.84, 0.97, "rear glass"), (0.96, 0.66, "boot"), (1.00, 0.50, "tail"), (1.00, 0.18, ""),
    ),
    "saloon": (
        (0.00, 0.18, "bumper"), (0.00, 0.46, "nose"), (0.03, 0.55, "bonnet"),
        (0.28, 0.66, "windscreen"), (0.42, 0.96, "roof"), (0.52, 1.00, "roof"),
        (0.67, 0.97, "rear glass"), (0.82, 0.68, "bonnet"), (0.99, 0.64, "boot"),
        (1.00, 0.45, "tail"), (1.00, 0.18, ""),
    ),
    "van": (
        (0.00, 0.13, "bumper"), (0.00, 0.40, "nose"), (0.04, 0.46, "bonnet"),
        (0.12, 0.52, "windscreen"), (0.24, 0.97, "roof"), (0.98, 1.00, "rear door"),
        (1.00, 0.40, "tail"), (1.00, 0.13, ""),
    ),
    "bus": (
        (0.00, 0.10, "bumper"), (0.00, 0.30, "windscreen"), (0.01, 0.80, "nose"),
        (0.03, 1.00, "roof"), (0.99, 1.00, "rear door"), (1.00, 0.30, "tail"), (1.00, 0.10, ""),
    ),
}  # fmt: skip
USUAL = {"hatchback": (4.0, 1.5), "saloon": (4.4, 1.45), "van": (5.2, 2.2), "bus": (9.0, 3.4)}

_TURN = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_BAND = ((0, 0), (0, 1), (1, 1), (1, 0))


class Face(NamedTuple):
    """A polygon of a vehicle's body: what it is, where it looks and which points it takes."""

    part: str
    look: str
    lying: float
    points: slice
    detail: bool


def _half(profile: str, up: float) -> float:
    """Half width, as a share of the width, at a share of the height."""
    if profile in ("van", "bus") or up < 0.66:
        return 0.5
    return 0.5 - 0.12 * (up - 0.66) / 0.34


@cache
def _template(profile: str) -> tuple[Floats, tuple[Face, ...]]:
    """The faces of a profile; points (P, 3) in shares of length, height and width."""
    points: list[tuple[float, float, float]] = []
    faces: list[Face] = []
    outline = PROFILES[profile]
    length, height = USUAL[profile]

    def add(
        part: str, look: str, corners: list[tuple[float, float, float]], lying: float = 0.0,
        detail: bool = True,
    ) -> None:  # fmt: skip
        faces.append(
            Face(part, look, lying, slice(len(points), len(points) + len(corners)), detail)
        )
        points.extend(corners)

    for (a0, h0, part), (a1, h1, _) in pairwise(outline):
        run, rise = abs(a1 - a0) * length, abs(h1 - h0) * height
        look = "ahead" if part in ("bumper", "nose", "windscreen") else "behind"
        lying = run / (run + rise)

        def band(
            low: float, high: float, inset: float,
            ends: tuple[float, float, float, float] = (a0, h0, a1, h1),
        ) -> list[tuple[float, float, float]]:  # fmt: skip
            corners = []
            for across, along in _BAND:
                share = low + (high - low) * along
                a, h = (ends[i] + (ends[i + 2] - ends[i]) * share for i in (0, 1))
                corners.append((a, h, inset * _half(profile, h) * (2 * across - 1)))
            # Front to back over the top, with the right-hand side last, looks outwards.
            return corners[::-1]

        add(part, look, band(0, 1, 1), lying, detail=False)
        if part in ("windscreen", "rear glass"):
            add("pane", look, band(0.06, 0.94, 0.88), lying)
        elif part == "rear door":
            add("glass", look, band(0.12, 0.5, 0.8))
        elif part in ("bumper", "tail"):
            front = part == "bumper"
            low, high = (0.6, 0.88) if front else (0.12, 0.45)
            for side in (-1, 1):
                lamp = [(a, h, 0.4 * w + 0.39 * side) for a, h, w in band(low, high, 0.2)]
                add("headlamp" if front else "tail lamp", look, lamp)
                wheel = [
                    (a0, h0 * (1 - y), 0.09 * x + 0.4 * side)
                    for x, y in ((-1, 0), (1, 0), (1, 1), (-1, 1))
                ]
                add("tyre", "any", wheel)
            if front:
                add("grille", look, band(0.5, 0.85, 0.5))
            add(
                "front plate" if front else "rear plate",
                look,
                band(0.15, 0.35, 0.3) if front else band(0.45, 0.65, 0.3),
            )
            shade = [
                (a0, h * min(h0, h1), w)
                for h, w in ((1, -0.48), (1, 0.48), (0.4, 0.48), (0.4, -0.48))
            ]
            add("underside", "any", shade)
    for side in (-1, 1):
        look = "left" if side < 0 else "right"
        step = 1 if side < 0 else -1

        def flank(
            corners: list[tuple[float, float]],
            bulge: float = 1.0,
            side: int = side,
            step: int = step,
        ) -> list[tuple[float, float, float]]:
            return [(a, h, side * bulge * _half(profile, h)) for a, h in corners[::step]]

        add("side", look, flank([(a, h) for a, h, _ in outline]), detail=False)
        if profile != "bus":
            skirt = [(a, min(h, 0.36)) for a, h, _ in outline if h < 0.52]
            add("sill", look, flank(skirt))
        tops = [a for a, h, _ in outline if h > 0.9]
        start, stop = tops[0], tops[-1] if profile != "van" else 0.4
        lean = 0.02 if profile in ("van", "bus") else 0.13
        pane = [
            (start - lean, 0.67),
            (start + 0.01, 0.92),
            (stop, 0.92),
            (stop + 0.55 * lean, 0.67),
        ]
        add("windows" if profile == "bus" else "side glass", look, flank(pane, 1.01))
        if lean > 0.1:
            add(
                "pillar",
                look,
                flank([(0.56, 0.66), (0.56, 0.94), (0.585, 0.94), (0.585, 0.66)], 1.02),
            )
        radius = 0.48 if profile == "bus" else 0.33
        for along in (0.19, 0.81):
            for share, part in ((1.0, "tyre"), (0.62, "hub"), (0.2, "tyre")):
                circle = [
                    (
                        along + share * radius * np.cos(t) / length,
                        (radius + share * radius * np.sin(t)) / height,
                    )
                    for t in _TURN[::-1]
                ]
                add(part, look, flank(circle, 1.02))
    return np.array(points, np.float64), tuple(faces)


@dataclass(frozen=True)
class Vehicle:
    """A vehicle on the road; metres, `heading` 0 drives away from the camera."""

    s: float
    z: float
    heading: float
    length: float
    width: float
    height: float
    profile: str
    body: Color
    lights_on: bool

    @property
    def footprint(self) -> Floats:
        """Its four corners on the ground, (4, 3) street points, a little widened."""
        corners = [[-0.04, 0, -0.56], [-0.04, 0, 0.56], [1.04, 0, 0.56], [1.04, 0, -0.56]]
        return self._street(np.array(corners))

    def _street(self, shares: Floats) -> Floats:
        """Turn shares of length, height and width (N, 3) into street points."""
        forward, across = (0.5 - shares[:, 0]) * self.length, shares[:, 2] * self.width
        cosine, sine = np.cos(self.heading), np.sin(self.heading)
        points = np.empty_like(shares)
        points[:, 0] = self.s + forward * sine + across * cosine
        points[:, 1] = shares[:, 1] * self.height
        points[:, 2] = self.z + forward * cosine - across * sine
        return points

    def draw(self, canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
        """Paint the faces that are turned to the camera; they hardly ever overlap."""
        shares, faces = _template(self.profile)
        camera = canvas.camera
        view = camera.view(self._street(shares))
        depths = view[:, 2]
        if depths.max() < NEAR + 0.3:
            return
        clear = bool(depths.min() > NEAR)
        pixels = camera.pixels(view) if clear else view
        if clear and (pixels[:, 0].max() < 0 or pixels[:, 0].min() > camera.width):
            return
        mirrored = between(rng, 0.8, 2.4)
        fine = camera.focal * self.height / max(float(depths.mean()), 1.0) > 9
        depth = max(float(depths.mean()), NEAR)
        bright = self._brightness(light)
        for face in faces:
            if face.detail and not fine and face.part not in ("pane", "tail lamp", "headlamp"):
                continue
            outline = pixels[face.points]
            if not clear:
                inside = cut(view[face.points])
                if len(inside) < 3:
                    continue
                outline = camera.pixels(inside)
            if face.look != "any":
                x, y = outline[:, 0], outline[:, 1]
                if (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() + x[-1] * y[0] - x[0] * y[-1] < 0:
                    continue
            elif not self._end_seen(view, face):
                continue
            level = bright.get(face.look, 0.6)
            level = face.lying * (light.flat + 0.15) + (1 - face.lying) * level
            color, emission = self._paint(face, level, mirrored)
            canvas.polygon(outline, color, CAR, depth, emission)

    @staticmethod
    def _end_seen(view: Floats, face: Face) -> bool:
        """Whether an underside's end is the one nearer to the camera."""
        return float(view[face.points, 2].mean()) < float(view[:, 2].mean())

    def _brightness(self, light: Light) -> dict[str, float]:
        cosine, sine = float(np.cos(self.heading)), float(np.sin(self.heading))
        return {
            "ahead": light.wall(sine, cosine),
            "behind": light.wall(-sine, -cosine),
            "right": light.wall(cosine, -sine),
            "left": light.wall(-cosine, sine),
        }

    def _paint(self, face: Face, bright: float, mirrored: float) -> tuple[Color, int]:
        part, on = face.part, LAMP if self.lights_on else 0
        if part in ("pane", "glass", "side glass", "windows"):
            lit = LIT if part == "windows" and self.lights_on else 0
            gloss = mirrored * (0.5 + face.lying) if part == "pane" else 0.7 + bright
            return shaded(GLASS, gloss), lit
        if part in ("headlamp", "tail lamp"):
            lamp: Color = (255, 250, 225) if part == "headlamp" else (205, 30, 30)
            return shaded(lamp, 1.0 if on else 0.8 * bright), on
        fixed: dict[str, Color] = {
            "tyre": TYRE, "hub": (128, 130, 134), "underside": (18, 18, 20), "grille": (30, 30, 32),
            "front plate": (225, 225, 220), "rear plate": (215, 185, 60),
        }  # fmt: skip
        if part in fixed:
            return (
                (fixed[part], 0)
                if part in ("tyre", "underside")
                else (shaded(fixed[part], bright), 0)
            )
        return shaded(self.body, bright * (0.75 if part == "sill" else 1.0)), 0


def draw_vehicle(
    rng: np.random.Generator, s: float, z: float, heading: float, parked: bool
) -> Vehicle:
    """Draw a vehicle for a place on the road; most are cars."""
    kind = rng.random()
    body = pick(rng, BODIES)
    if rng.random() < 0.15:
        body = (255 * rng.random(), 255 * rng.random(), 255 * rng.random())
    body = shaded(body, between(rng, 0.75, 1.1))
    on = not parked and rng.random() < 0.8
    if kind < 0.05 and not parked:
        size = (between(rng, 7, 11), 2.5, between(rng, 2.9, 4.2))
        return Vehicle(s, z, heading, *size, "bus", body, on)
    if kind < 0.15:
        size = (between(rng, 4.6, 6.2), 2.0, between(rng, 1.9, 2.6))
        return Vehicle(s, z, heading, *size, "van", body, on)
    size = (between(rng, 3.6, 4.6), between(rng, 1.65, 1.85), between(rng, 1.38, 1.8))
    profile = "hatchback" if rng.random() < 0.6 else "saloon"
    return Vehicle(s, z, heading, *size, profile, body, on)

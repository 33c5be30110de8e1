"""The plan of a street: how wide it is, what stands along it and where everybody is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from alseg.data.scenes import furniture, people, trees
from alseg.data.scenes.buildings import Building, draw_look
from alseg.data.scenes.camera import Camera
from alseg.data.scenes.canvas import Canvas
from alseg.data.scenes.furniture import Barrier
from alseg.data.scenes.light import Light
from alseg.data.scenes.textures import between, pick
from alseg.data.scenes.vehicles import Vehicle, draw_vehicle

END = 130.0
"""Distance in metres at which the street stops and the skyline takes over."""

Draw = Callable[[Canvas, np.random.Generator, Light], None]


@dataclass
class Kerbside:
    """One side of the street; distances from the centre line in metres, all positive."""

    side: int
    kerb: float
    pavement: float
    front: float
    urban: float
    verge: bool
    junctions: list[tuple[float, float]]
    parking: bool

    def at_junction(self, z: float, margin: float = 0.0) -> bool:
        """Whether a side street opens at distance z."""
        return any(z0 - margin < z < z1 + margin for z0, z1 in self.junctions)


@dataclass
class Street:
    """A street and everything on it.

    Attributes:
        kerbsides: the left and the right side.
        behind: (distance, draw) of what stands at or behind the building line.
        before: (distance, draw) of what stands on the road and the pavements.
        vehicles: vehicles, for their shadows.
        buildings: buildings, for their shadows.
        posts: (s, z, height, width) of whatever else throws a shadow.
    """

    kerbsides: tuple[Kerbside, Kerbside]
    behind: list[tuple[float, Draw]] = field(default_factory=list)
    before: list[tuple[float, Draw]] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    posts: list[tuple[float, float, float, float]] = field(default_factory=list)


def draw_camera(rng: np.random.Generator, height: int, width: int) -> Camera:
    """Draw a camera behind a windscreen, in the lane that it drives in."""
    yaw = between(rng, -0.1, 0.1) if rng.random() < 0.75 else between(rng, -0.5, 0.5)
    straight = rng.random() < 0.4
    return Camera(
        height=height,
        width=width,
        focal=between(rng, 0.85, 1.3) * width,
        horizon=between(rng, 0.40, 0.54) * height,
        eye=between(rng, 1.25, 1.9),
        lateral=between(rng, -2.6, -0.6) if rng.random() < 0.75 else between(rng, 0.6, 2.6),
        yaw=yaw,
        curvature=0.0 if straight else between(rng, -0.006, 0.006),
    )


def _draw_kerbside(rng: np.random.Generator, side: int, urban: float) -> Kerbside:
    urban = float(np.clip(urban + between(rng, -0.3, 0.3), 0, 1))
    pavement = between(rng, 1.5, 5.0)
    kerb = between(rng, 3.0, 5.5) if rng.random() < 0.8 else between(rng, 5.5, 11.0)
    setback = between(rng, 0.0, 0.6) if rng.random() < 0.2 + 0.8 * urban else between(rng, 1.5, 9.0)
    junctions = []
    z = between(rng, -10, 50)
    while z < END:
        if rng.random() < 0.7:
            junctions.append((z, z + between(rng, 6, 14)))
        z += between(rng, 25, 70)
    return Kerbside(
        side,
        kerb,
        pavement,
        kerb + pavement + setback,
        urban,
        rng.random() < 0.25,
        junctions,
        rng.random() < 0.4,
    )


def _line_with_buildings(rng: np.random.Generator, street: Street, kerbside: Kerbside) -> None:
    """Fill the building line with terraces, gaps and what grows in them."""
    side, z = kerbside.side, -8.0
    leafy = rng.random() < 0.5 * (1.1 - kerbside.urban)
    while z < END:
        if kerbside.at_junction(z + 0.5):
            z += 1.0
            continue
        stop = min([z0 for z0, _ in kerbside.junctions if z0 > z] + [END])
        if rng.random() < (0.65 if leafy else 0.12 * (1.3 - kerbside.urban)):
            end = min(z + between(rng, 8, 25), stop)
            _gap(rng, street, kerbside, z, end)
            z = end
            continue
        look = draw_look(rng, kerbside.urban)
        storeys = int(between(rng, 2, 3.6 + 1.9 * kerbside.urban))
        front = side * (kerbside.front + (between(rng, 0, 2) if rng.random() < 0.3 else 0.0))
        length = between(rng, 4.5, 9) if rng.random() < 0.6 else between(rng, 9, 22)
        for number in range(int(between(rng, 1, 4.5))):
            if stop - z < 3:
                z = stop
                break
            end = min(z + length, stop)
            height = storeys * look.storey + between(rng, -0.4, 0.8)
            house = Building(side, front, z, end, height, between(rng, 7, 12), look, number == 0)
            street.buildings.append(house)
            street.behind.append((end, house.draw))
            z = end
    if kerbside.front - kerbside.kerb - kerbside.pavement > 1.4:
        _front_gardens(rng, street, kerbside)


def _gap(
    rng: np.random.Generator, street: Street, kerbside: Kerbside, z0: float, z1: float
) -> None:
    """Fill a gap between houses with trees behind a barrier."""
    side = kerbside.side
    bare = rng.random() < 0.5
    for z in np.arange(z0 + 1, z1, between(rng, 3, 7)):
        s = side * (kerbside.front + between(rng, 0.5, 12))
        draw = partial(trees.tree, s=s, z=float(z), bare=bare, height=between(rng, 4, 13))
        street.behind.append((float(z), draw))
    kind = pick(rng, ("railing", "panels", "hedge", "wall", "railing", "panels"))
    height = between(rng, 0.9, 2.4)
    for z in np.arange(z0, z1, 6.0):
        end = min(float(z) + 6.0, z1)
        barrier = Barrier(side * kerbside.front, float(z), end, height, kind, side)
        street.before.append((end, barrier.draw))


def _front_gardens(rng: np.random.Generator, street: Street, kerbside: Kerbside) -> None:
    """Close the gardens before the houses off from the pavement."""
    side, line = kerbside.side, kerbside.kerb + kerbside.pavement + 0.1
    z = -4.0
    while z < 80:
        end = z + between(rng, 5, 9)
        if not kerbside.at_junction(z, 6.0) and rng.random() < 0.75:
            kind = pick(rng, ("railing", "panels", "hedge", "wall", "hedge", "wall"))
            barrier = Barrier(side * line, z, end, between(rng, 0.7, 1.7), kind, side)
            street.before.append((end, barrier.draw))
            if rng.random() < 0.4:
                s = side * (line + between(rng, 0.6, 1.5))
                draw = partial(
                    trees.tree, s=s, z=z + 2, bare=rng.random() < 0.5, height=between(rng, 2, 7)
                )
                street.behind.append((z - 1, draw))
        z = end


def _furnish(rng: np.random.Generator, street: Street, kerbside: Kerbside) -> None:
    """Set posts, signs, trees, railings and clutter on the pavement."""
    side, kerb, inner = kerbside.side, kerbside.kerb + 0.5, kerbside.kerb + kerbside.pavement - 0.3

    def put(z: float, s: float, draw: Callable[..., None], height: float, width: float) -> None:
        street.before.append((z, partial(draw, s=s, z=z)))
        street.posts.append((s, z, height, width))

    start, step = between(rng, 3, 20), between(rng, 14, 32)
    for z in np.arange(start, 100, step):
        put(float(z), side * kerb, partial(furniture.lamp_post, inward=-side), 7.0, 0.2)
    kinds = (furniture.sign_post, furniture.bollard, furniture.sign_post, furniture.bollard)
    for _ in range(int(between(rng, 3, 10))):
        z = between(rng, 4, 60)
        s = side * pick(rng, (kerb, kerb, inner))
        put(z, s, pick(rng, kinds), 2.5, 0.15)
    for z0, z1 in kerbside.junctions:
        if 4 < z0 < 70 and rng.random() < 0.6:
            for z in (z0 - 1, z1 + 1):
                put(z, side * kerb, furniture.traffic_light, 3.5, 0.2)
    if rng.random() < 0.3:
        z, gap = between(rng, 4, 20), between(rng, 1.3, 2.5)
        for i in range(int(between(rng, 3, 9))):
            put(z + i * gap, side * kerb, furniture.bollard, 1.0, 0.2)
    if rng.random() < 0.3:
        put(between(rng, 7, 35), side * inner, furniture.billboard, 2.0, 1.0)
    if rng.random() < 0.35:
        bare = rng.random() < 0.5
        for z in np.arange(between(rng, 5, 20), 90, between(rng, 8, 20)):
            height = between(rng, 5, 11)
            draw = partial(trees.tree, bare=bare, height=height)
            put(float(z), side * (kerb + 0.5), draw, height, 0.35 * height)
    if rng.random() < 0.5:
        z0 = between(rng, 2, 20)
        for i in range(int(between(rng, 2, 8))):
            if not kerbside.at_junction(z0 + 5 * i, 4.0):
                rail = Barrier(side * kerb, z0 + 5 * i, z0 + 5 * i + 5, 1.1, "railing", side)
                street.before.append((rail.z1, rail.draw))
    for _ in range(int(between(rng, 0, 4))):
        put(between(rng, 5, 40), side * inner, furniture.clutter, 1.0, 0.6)


def _people(rng: np.random.Generator, street: Street, kerbside: Kerbside) -> None:
    side, kerb = kerbside.side, kerbside.kerb
    for _ in range(int(between(rng, 0, 4 + 5 * kerbside.urban))):
        z = 5 + 50 * rng.random() ** 1.4
        s = side * (kerb + between(rng, 0.4, kerbside.pavement))
        for _ in range(1 + int(3 * rng.random() ** 2)):
            z, s = z + between(rng, -0.6, 0.6), s + between(rng, -0.6, 0.6)
            street.before.append((z, partial(people.pedestrian, s=s, z=z)))
            street.posts.append((s, z, 1.7, 0.4))
    if rng.random() < 0.15:
        s, z = side * between(rng, 0, kerb), between(rng, 8, 30)
        street.before.append((z, partial(people.pedestrian, s=s, z=z)))
    for _ in range(int(between(rng, 0, 2.2))):
        s, z = side * (kerb - between(rng, 0.5, 1.6)), 4 + 40 * rng.random() ** 1.3
        street.before.append((z, partial(people.cyclist, s=s, z=z, rider=True)))
        street.posts.append((s, z, 1.6, 0.4))
    if rng.random() < 0.25:
        z, s = between(rng, 6, 25), side * (kerb + kerbside.pavement - 0.5)
        for i in range(int(between(rng, 1, 6))):
            street.before.append(
                (z + 0.7 * i, partial(people.cyclist, s=s, z=z + 0.7 * i, rider=False))
            )


def _traffic(rng: np.random.Generator, street: Street, camera: Camera) -> None:
    """Put vehicles on the lanes, along the kerbs and into the side streets."""

    def put(s: float, z: float, heading: float, parked: bool = False, away: bool = False) -> None:
        vehicle = draw_vehicle(rng, s, z, heading, parked)
        street.vehicles.append(vehicle)
        (street.behind if away else street.before).append((z, vehicle.draw))

    ours = 1 if camera.lateral > 0 else -1
    for kerbside in street.kerbsides:
        side, lane = kerbside.side, kerbside.side * max(0.5 * kerbside.kerb, kerbside.kerb - 2.6)
        z = between(rng, 7, 45) if side == ours else between(rng, 3.5, 40)
        while z < 110:
            if rng.random() < 0.5:
                heading = (0.0 if side == ours else np.pi) + between(rng, -0.08, 0.08)
                put(lane + between(rng, -0.4, 0.4), z, heading)
            z += between(rng, 8, 40)
        if kerbside.parking:
            z, cars = between(rng, -1, 25), int(between(rng, 1, 10))
            for _ in range(cars):
                if not kerbside.at_junction(z, 3.0):
                    heading = pick(rng, (0.0, np.pi)) + between(rng, -0.04, 0.04)
                    put(side * (kerbside.kerb - 1.0), z, heading, parked=True)
                z += between(rng, 5.2, 7.5)
        for z0, z1 in kerbside.junctions:
            if rng.random() < 0.6:
                s = side * (kerbside.kerb + between(rng, -1.5, 9))
                turn = pick(rng, (-1, 1)) * (0.5 * np.pi + between(rng, -0.3, 0.3))
                put(s, between(rng, z0 + 2, z1 - 2), turn, away=abs(s) > kerbside.kerb + 3)


def draw_street(rng: np.random.Generator, camera: Camera) -> Street:
    """Draw the plan of a street, from a canyon of shops to a leafy suburb."""
    urban = rng.random()
    street = Street((_draw_kerbside(rng, -1, urban), _draw_kerbside(rng, 1, urban)))
    for kerbside in street.kerbsides:
        _line_with_buildings(rng, street, kerbside)
        _furnish(rng, street, kerbside)
        _people(rng, street, kerbside)
    _traffic(rng, street, camera)
    return street

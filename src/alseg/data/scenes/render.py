"""From (domain, seed, index) to an image and its label."""

from __future__ import annotations

import numpy as np

from alseg.data.scenes.canvas import VOID, Bytes, Canvas
from alseg.data.scenes.ground import paint_ground
from alseg.data.scenes.light import draw_light
from alseg.data.scenes.street import draw_camera, draw_street
from alseg.data.scenes.styles import DOMAINS, develop, paint_sky
from alseg.data.scenes.textures import between
from alseg.data.scenes.trees import skyline
from alseg.errors import DatasetError

LEAST = 32
"""Least height and width of a scene in pixels."""


def render_scene(
    domain: str, seed: int, index: int, size: tuple[int, int] = (360, 480)
) -> tuple[Bytes, Bytes]:
    """Render one scene.

    The plan of the scene, and with it the label, depends on the seed, the index and the size
    alone; the domain decides on sky, weather and sensor. The same arguments give the same result
    in every process.

    Args:
        domain: one of `DOMAINS`.
        seed: not negative.
        index: number of the scene, not negative.
        size: height and width in pixels, 32 or more each.

    Returns:
        The image (H, W, 3), RGB, and the label (H, W): train ids of CamVid's 11 classes,
        255 is void.

    Raises:
        DatasetError: an argument is out of range.
    """
    if domain not in DOMAINS:
        raise DatasetError(f"No scenes called {domain!r}; there are {', '.join(DOMAINS)}.")
    if min(size) < LEAST:
        raise DatasetError(f"A scene of {size[0]}×{size[1]} is too small; ask for 32×32 or more.")
    if seed < 0 or index < 0:
        raise DatasetError(f"Seed {seed} and index {index} of a scene must not be negative.")
    plan = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 0])))
    number = DOMAINS.index(domain) + 1
    style = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, number])))
    camera = draw_camera(plan, *size)
    light = draw_light(plan)
    street = draw_street(plan, camera)
    canvas = Canvas(camera, paint_sky(domain, style, size, camera.horizon))
    skyline(canvas, plan, light)
    paint_ground(canvas, plan, street, light)
    for things in (street.behind, street.before):
        for _, draw in sorted(things, key=lambda item: -item[0]):
            draw(canvas, plan, light)
    _bonnet(canvas, plan)
    return develop(domain, style, canvas), canvas.label


def _bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let the camera car's own bonnet rise into the picture now and then; it is void."""
    if rng.random() > 0.25:
        return
    height, width = canvas.label.shape
    rise = between(rng, 0.01, 0.07) * height
    x = np.linspace(0, width, 12)
    bow = rise * (1 - ((x / width - between(rng, 0.3, 0.7)) / 0.8) ** 2)
    outline = np.concatenate((np.stack((x, height - bow), 1), [[width, height], [0, height]]))
    tone = between(rng, 10, 120)
    canvas.polygon(outline, (tone, tone, 1.05 * tone), VOID, 1.0)

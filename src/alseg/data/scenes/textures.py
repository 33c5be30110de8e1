"""Noise and the skies, the raw material of every surface."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import cv2
import numpy as np

from alseg.data.scenes.canvas import Bytes, Color

T = TypeVar("T")

TILE = 512


@cache
def noise(exponent: float) -> Bytes:
    """A tileable noise of spectrum 1/f^exponent with mean 128 and deviation 40.

    It is laid out twice in both directions, (2·TILE, 2·TILE), so that any window of up to TILE
    pixels is a slice. The same in every process: its seed is fixed.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(20091)))
    white = np.fft.rfft2(generator.random((TILE, TILE)))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    frequency[0, 0] = 1.0
    field = np.fft.irfft2(white * frequency**-exponent, (TILE, TILE))
    field = (field - field.mean()) / field.std()
    tile: Bytes = np.clip(np.rint(128 + 40 * field), 0, 255).astype(np.uint8)
    return np.tile(tile, (2, 2))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw uniformly from low to high."""
    return low + (high - low) * rng.random()


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one of the options."""
    return options[int(rng.random() * len(options))]


def patch(
    rng: np.random.Generator, height: int, width: int, exponent: float = 1.0, zoom: float = 1.0
) -> Bytes:
    """Cut a random (height, width) window out of the noise, magnified by `zoom`."""
    rows, columns = (max(1, min(TILE, round(n / zoom))) for n in (height, width))
    row, column = int(rng.random() * TILE), int(rng.random() * TILE)
    window = noise(exponent)[row : row + rows, column : column + columns]
    if (rows, columns) == (height, width):
        return window
    return cv2.resize(window, (width, height)).astype(np.uint8, copy=False)


def tinted(grey: Bytes, color: Color, amount: float) -> Bytes:
    """Colour a noise (h, w): where it is 128 the result is `color`; returns (h, w, 3)."""
    channels = [
        cv2.convertScaleAbs(grey, alpha=c * amount / 128, beta=c * (1 - amount)) for c in color
    ]
    return cv2.merge(channels).astype(np.uint8, copy=False)


def sky(
    rng: np.random.Generator,
    shape: tuple[int, int],
    horizon: float,
    zenith: Color,
    rim: Color,
    cloud: Color,
    cover: float,
) -> Bytes:
    """Paint a sky (H, W, 3): a gradient from `zenith` to `rim` at the horizon, with clouds.

    Args:
        rng: where the clouds lie.
        shape: H, W.
        horizon: row at which the gradient ends.
        zenith: colour at the top.
        rim: colour at the horizon.
        cloud: colour of the clouds.
        cover: share of cloud, 0 to 1.
    """
    height, width = shape
    # Skies are smooth: a quarter of the resolution is enough.
    h, w = max(height // 4, 2), max(width // 4, 2)
    fall = np.clip(np.arange(h) * 4 / max(horizon, 1.0), 0, 1)[:, None] ** 0.8
    gradient = np.asarray(zenith) * (1 - fall) + np.asarray(rim) * fall
    clouds = patch(rng, h, w, 1.6, zoom=between(rng, 1.0, 3.0) * h / 360)
    field = clouds.astype(np.float32) / 128 - 1
    amount = np.clip(field * 2.0 + 2 * cover - 0.5, 0, 1)[..., None]
    shadow = 1 - 0.12 * np.clip(field, 0, 1)[..., None]
    painted = gradient[:, None].astype(np.float32) * (1 - amount)
    painted += np.asarray(cloud, np.float32) * shadow * amount
    small = np.clip(painted, 0, 255).astype(np.uint8)
    return cv2.resize(small, (width, height)).astype(np.uint8, copy=False)

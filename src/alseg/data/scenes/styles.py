"""The domains' styles: each turns a painted canvas into what its camera records.

A style sees the sky's palette before painting and the finished canvas after it. It never touches
the labels, so a scene has the same label in every domain.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from alseg.data.scenes.canvas import LAMP, LIT, Bytes, Canvas, Color
from alseg.data.scenes.textures import between, patch, pick, sky

DOMAINS = ("sim", "dusk", "fog", "camera")


def paint_sky(
    domain: str, rng: np.random.Generator, shape: tuple[int, int], horizon: float
) -> Bytes:
    """Paint the sky of a domain, (H, W, 3)."""
    if domain == "dusk":
        zenith: Color = (between(rng, 30, 70), between(rng, 40, 80), between(rng, 80, 130))
        rim: Color = pick(rng, ((190, 130, 90), (150, 120, 120), (110, 120, 140), (200, 160, 110)))
        cloud: Color = pick(rng, ((70, 70, 90), (110, 90, 90), (50, 54, 70)))
        return sky(rng, shape, horizon, zenith, rim, cloud, between(rng, 0.2, 0.8))
    if domain == "fog":
        tone = between(rng, 165, 225)
        grey: Color = (tone, tone, tone)
        return sky(rng, shape, horizon, grey, grey, grey, 0.0)
    pale = between(rng, 0.0, 1.0)
    blue = (between(rng, 90, 170), between(rng, 140, 200), between(rng, 215, 250))
    if rng.random() < 0.45:
        pale = 1.0
    white = between(rng, 215, 262)
    zenith = tuple(pale * white + (1 - pale) * c for c in blue)  # type: ignore[assignment]
    rim = (white, white, white)
    cloud = pick(rng, ((250, 250, 250), (225, 228, 232), (180, 184, 190)))
    return sky(rng, shape, horizon, zenith, rim, cloud, between(rng, 0.0, 0.8))


def develop(domain: str, rng: np.random.Generator, canvas: Canvas) -> Bytes:
    """Turn the canvas into the image (H, W, 3) that the domain's camera records."""
    if domain == "dusk":
        return _sensor(rng, _dusk(rng, canvas), grain=(3.0, 8.0), blur=(0.4, 1.0))
    image = _daylight(rng, cv2.cvtColor(canvas.paint, cv2.COLOR_BGRA2BGR).astype(np.uint8))
    if domain == "fog":
        return _sensor(rng, _fog(rng, image, canvas), grain=(1.0, 4.0), blur=(0.4, 1.1))
    if domain == "camera":
        return _other_camera(rng, image)
    return _sensor(rng, image, grain=(1.0, 5.0), blur=(0.2, 0.9))


def _daylight(rng: np.random.Generator, image: Bytes) -> Bytes:
    """Expose: anything from backlit and dark to bright, under any white balance."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    exposure, gamma = between(rng, 0.45, 1.15), between(rng, 0.85, 1.35)
    balance = np.array([between(rng, 0.9, 1.1), 1.0, between(rng, 0.9, 1.12)], np.float32)
    saturation = between(rng, 0.5, 1.15)
    # The sky saturates the sensor whatever the exposure, so highlights are held up.
    gain = exposure + (1.05 - exposure) * np.clip((levels - 0.7) / 0.25, 0, 1)
    curve = np.clip(levels**gamma * gain * balance * 255, 0, 255).astype(np.uint8)
    exposed = cv2.LUT(image, curve[None])
    mix = np.eye(3) * saturation + (1 - saturation) / 3
    colored = cv2.transform(exposed, mix.astype(np.float32)).astype(np.uint8, copy=False)
    return _glare(colored, between(rng, 0.0, 0.12))


def _glare(image: Bytes, amount: float) -> Bytes:
    """Let bright regions spill over the image, as a lens against the light does."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(width // 8, 2), max(height // 8, 2)), interpolation=cv2.INTER_AREA
    )
    spill = cv2.resize(cv2.GaussianBlur(small, (0, 0), max(width / 80, 0.8)), (width, height))
    mixed = cv2.addWeighted(image, 1 - 0.5 * amount, spill, amount, 0)
    return mixed.astype(np.uint8, copy=False)


def _dusk(rng: np.random.Generator, canvas: Canvas) -> Bytes:
    """Take the daylight away and switch on windows, lamps and headlights."""
    level, strength = between(rng, 0.1, 0.26), between(rng, 0.6, 1.0)
    cast = pick(rng, ((0.7, 0.9, 1.45), (1.35, 0.95, 0.65), (0.65, 0.85, 1.5), (1.3, 0.9, 0.8)))
    image = cv2.cvtColor(canvas.paint, cv2.COLOR_BGRA2BGR)
    levels = (np.arange(256, dtype=np.float32) / 255)[:, None] ** 1.1
    table = np.clip(levels * 255 * level * np.asarray(cast, np.float32) + 4, 0, 255)
    dimmed = cv2.LUT(image, table.astype(np.uint8)[None])
    out = np.where((canvas.nearness > 0)[..., None], dimmed, image)
    emission = canvas.paint[..., 3]
    warm = np.asarray((255, 190, 105), np.float32) * 0.6 * strength
    window = (emission > 0) & (emission <= 1.1 * LIT)
    glow = emission[window].astype(np.float32)[:, None] / LIT
    lit = out[window] + glow * (warm + 0.8 * image[window])
    out[window] = np.minimum(lit, 255).astype(np.uint8)
    lamps = (emission > 0.7 * LAMP).astype(np.uint8)
    height, width = lamps.shape
    shining = cv2.copyTo(cv2.convertScaleAbs(image, alpha=1.0, beta=60.0), lamps)
    half = cv2.resize(shining, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    halo = cv2.resize(cv2.GaussianBlur(half, (0, 0), max(width / 120, 0.6)), (width, height))
    return cv2.add(cv2.max(out, shining), cv2.convertScaleAbs(halo, alpha=2.0)).astype(np.uint8)


def _fog(rng: np.random.Generator, image: Bytes, canvas: Canvas) -> Bytes:
    """Mix with the air light by exp(-depth/visibility) (Koschmieder's law)."""
    visibility = between(rng, 15, 45)
    height, width = canvas.nearness.shape
    depth = 1 / np.maximum(canvas.nearness, 1e-3)
    through = np.exp(depth * np.float32(-1 / visibility))
    tone = float(canvas.paint[: max(height // 12, 1), :, 0].max())
    uneven = patch(rng, height, width, 1.6, 2.0).astype(np.float32) * (0.1 / 128) + 0.9
    air = (1 - through) * uneven * tone
    out = np.empty_like(image)
    for channel, tint in enumerate((between(rng, 0.95, 1.0), 0.99, between(rng, 0.99, 1.05))):
        mixed = image[..., channel] * through + air * np.float32(tint)
        out[..., channel] = np.minimum(mixed, 255).astype(np.uint8)
    return out


def _sensor(
    rng: np.random.Generator, image: Bytes, grain: tuple[float, float], blur: tuple[float, float]
) -> Bytes:
    """Blur by the lens and add noise; deviations in pixels of a 480 wide image and in levels."""
    sigma, deviation = between(rng, *blur) * image.shape[1] / 480, between(rng, *grain)
    if sigma > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    return _noisy(rng, image, deviation)


def _noisy(rng: np.random.Generator, image: Bytes, deviation: float) -> Bytes:
    """Add noise, uniform since normal deviates cost five times as much."""
    noise = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    # A byte's deviation is 73.9 levels.
    share = deviation / 73.9
    return cv2.addWeighted(image, 1.0, noise, share, -127.5 * share).astype(np.uint8, copy=False)


def _other_camera(rng: np.random.Generator, image: Bytes) -> Bytes:
    """Record with a cheap camera: colours, contrast, fringes, vignette, blur, noise, JPEG."""
    height, width = image.shape[:2]
    # One sensor has one response; only the white balance drifts.
    mix = np.array([[0.82, 0.22, -0.04], [0.06, 0.86, 0.08], [0.02, 0.3, 0.6]])
    cast = np.array([between(rng, 0.85, 1.05), 1.0, between(rng, 0.6, 0.8)])
    levels = np.clip(np.arange(256) / 255 * 1.35, 0, 1)[:, None]
    table = np.clip((0.5 - 0.5 * np.cos(np.pi * levels)) * cast * 255, 0, 255).astype(np.uint8)
    mixed = cv2.LUT(cv2.transform(image, mix.astype(np.float32)), table[None])
    image = _fringes(mixed.astype(np.uint8, copy=False), between(rng, 0.004, 0.012))
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    x = (np.arange(width, dtype=np.float32) / width - 0.5)[None]
    vignette = 1 - np.float32(between(rng, 0.9, 1.6)) * (x * x + y * y)
    image = cv2.multiply(image, cv2.merge([vignette] * 3), dtype=cv2.CV_8U).astype(np.uint8)
    sigma = max(between(rng, 1.0, 2.2) * width / 480, 0.3)
    image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    recorded = _noisy(rng, image, between(rng, 12, 24))
    quality = int(between(rng, 15, 40))
    _, stream = cv2.imencode(".jpg", recorded, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(stream, cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)


def _fringes(image: Bytes, amount: float) -> Bytes:
    """Magnify red and shrink blue, as a lens with lateral chromatic aberration does."""
    height, width = image.shape[:2]
    channels = list(cv2.split(image))
    for channel, zoom in ((0, 1 + amount), (2, 1 - amount)):
        matrix = np.array(
            [[zoom, 0, 0.5 * width * (1 - zoom)], [0, zoom, 0.5 * height * (1 - zoom)]], np.float32
        )
        channels[channel] = cv2.warpAffine(
            channels[channel], matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
    return cv2.merge(channels).astype(np.uint8, copy=False)

"""Pictures of labels, scores and picks, as RGB arrays H×W×3."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from alseg.data.label_space import IGNORE, LabelSpace

RGB = NDArray[np.uint8]

HEAT = np.array(
    [[0, 0, 0], [60, 15, 110], [170, 40, 95], [240, 110, 30], [255, 245, 160]], dtype=np.float64
)
"""Colours from the lowest to the highest score, brighter all the way; evenly spaced."""

ASKED = (60, 160, 255)
ASKED_NOW = (255, 215, 0)


def colour_labels(label: NDArray[np.uint8], label_space: LabelSpace) -> RGB:
    """Return the classes H×W in the colours of their label space; void is black."""
    coloured: RGB = label_space.palette[label]
    return coloured


def contours(label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels H×W of which one of the four neighbours has another class."""
    found = np.zeros(label.shape, dtype=np.bool_)
    across = label[:, 1:] != label[:, :-1]
    down = label[1:] != label[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def overlay(
    image: RGB,
    label: NDArray[np.uint8],
    label_space: LabelSpace,
    alpha: float = 0.3,
    clear: Collection[int] = (),
) -> RGB:
    """Return an image H×W×3 with its classes H×W laid over it.

    A class is filled weakly and has a contour of one pixel in its full colour, inside of it. Void
    pixels and those of clear classes stay as they are.

    Args:
        image: The image.
        label: Train ids; 255 is void.
        label_space: The classes and their colours.
        alpha: Share of the class colour, from 0 (the contours alone) to 1 (the colour alone).
        clear: Train ids of classes that are not drawn, such as the background.
    """
    colours = colour_labels(label, label_space)
    picture = np.rint((1 - alpha) * image + alpha * colours).astype(np.uint8)
    edge = contours(label)
    picture[edge] = colours[edge]
    untouched = np.isin(label, [IGNORE, *clear])
    picture[untouched] = image[untouched]
    return picture


def legend(label_space: LabelSpace, width: int, present: Collection[int] | None = None) -> RGB:
    """Return a strip of a given width in pixels that names the colours, on white.

    Args:
        label_space: The classes and their colours.
        width: Width of the strip; entries that do not fit beside one another go below.
        present: Train ids to list; None lists all.
    """
    font = ImageFont.load_default(12)
    swatch, gap, row_height = 12, 6, 18
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places = []
    x = y = gap
    for train_id, name in enumerate(label_space.classes):
        if present is not None and train_id not in present:
            continue
        entry_width = swatch + gap + round(measure.textlength(name, font=font)) + 2 * gap
        if x > gap and x + entry_width > width:
            x, y = gap, y + row_height
        places.append((x, y, name, label_space.colors[train_id]))
        x += entry_width
    strip = Image.new("RGB", (width, y + row_height), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, name, color in places:
        draw.rectangle((x, y, x + swatch - 1, y + swatch - 1), fill=color, outline="black")
        draw.text((x + swatch + gap, y - 1), name, fill="black", font=font)
    return np.array(strip)


def score_picture(score: NDArray[np.floating]) -> RGB:
    """Return scores H×W as heat: the lowest finite one black, the highest pale yellow.

    A constant map is black all over.
    """
    finite = score[np.isfinite(score)].astype(np.float64)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = score.astype(np.float64).clip(low, high)
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    stops = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(share, stops, HEAT[:, channel]) for channel in range(3)]
    heat: RGB = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return heat


def picks_picture(
    image: RGB, asked: NDArray[np.bool_], asked_now: NDArray[np.bool_] | None = None
) -> RGB:
    """Return an image in middling grey with the asked-for pixels in colour.

    Args:
        image: The image, H×W×3.
        asked: Pixels asked for so far, H×W; blue.
        asked_now: Those of them asked for in the round that is pictured, H×W; yellow.
    """
    grey = 64 + image.astype(np.float64).mean(axis=-1, keepdims=True) / 2
    picture: RGB = np.repeat(np.rint(grey).astype(np.uint8), 3, axis=-1)
    picture[asked] = ASKED
    if asked_now is not None:
        picture[asked_now] = ASKED_NOW
    return picture


def save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture H×W×3 or 8-bit ids H×W as PNG, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, format="PNG")

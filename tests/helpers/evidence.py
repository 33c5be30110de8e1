"""What runs write down about their rounds, written by hand with figures that are known."""

import io
import json

import numpy as np
from PIL import Image
from tests.helpers.runs import CLASSES, write_matrix

KINDS = ("image", "score", "picks", "errors")
RIM = 12.0


def write_evidence(run, number, *, names=("street/0", "street/1"), radius=None, wrong=0.2):
    """Write what a round tells of three classes of 600, 300 and 100 pixels.

    Half of the 60 picks were wrong before. The entropy of the classes is 0.1, 0.2 and 0.6.

    Args:
        run: The run's folder.
        number: The round.
        names: Pool images to picture.
        radius: Mean radius of each class; None is a network without a radius.
        wrong: Share of the pixels that the network had wrong.
    """
    folder = run / "analysis"
    (folder / f"round-{number:03d}").mkdir(parents=True)
    images = []
    for name in names:
        panels = {}
        for kind in KINDS:
            panels[kind] = f"round-{number:03d}/{name.replace('/', '_')}.{kind}.jpg"
            (folder / panels[kind]).write_bytes(_jpeg(f"{name}{kind}{number}"))
        images.append({"id": name, "panels": panels})
    pixels = np.array([600.0, 300.0, 100.0])
    spans = np.array([400.0, 200.0, 150.0, 100.0, 75.0, 50.0, 25.0])
    sums = {
        "picked_classes": [10, 20, 24],
        "picked_void": [6],
        "pool_classes": pixels.tolist(),
        "pool_distances": spans.tolist(),
        "picked_distances": [30, 12, 6, 6, 3, 2, 1],
        "pixels": [1000],
        "wrong": [1000 * wrong],
        "asked": [60],
        "asked_wrong": [30],
        "class_pixels": pixels.tolist(),
        "class_right": (pixels * [0.9, 0.8, 0.2]).tolist(),
        "class_entropy": (pixels * [0.1, 0.2, 0.6]).tolist(),
        "class_norm": (pixels * [5, 7, 6]).tolist(),
        "distance_pixels": spans.tolist(),
        "distance_wrong": (spans * wrong).tolist(),
        # A mean of 5 and a deviation of 1 at every distance.
        "distance_norm": (spans * 5).tolist(),
        "distance_norm_squares": (spans * 26).tolist(),
    }
    if radius is not None:
        counts = np.zeros(24)
        counts[5], counts[23] = 990, 10
        sums.update(
            class_radius=(pixels * radius).tolist(),
            # A mean of 3 and a deviation of 2 at every distance.
            distance_radius=(spans * 3).tolist(),
            distance_radius_squares=(spans * 13).tolist(),
            radius_counts=counts.tolist(),
            at_rim=[10],
        )
    content = {
        "format": 1,
        "round": number,
        "classes": list(CLASSES),
        "rim": None if radius is None else RIM,
        "images": images,
        "sums": sums,
    }
    (folder / f"round-{number:03d}.json").write_text(json.dumps(content))


def write_whole_matrix(folder):
    """Write `write_matrix` with what every run tells of two rounds."""
    write_matrix(folder, rounds=2)
    for run in folder.iterdir():
        strategy = run.name.partition("-")[0]
        if strategy in ("random", "halo"):
            for number in (1, 2):
                radius = [3.0, 2.0, 1.0] if strategy == "halo" else None
                write_evidence(run, number, radius=radius)
    return folder


def _jpeg(text):
    noise = np.random.default_rng(list(text.encode())).integers(0, 255, (20, 40, 3))
    buffer = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).resize((240, 120)).save(buffer, format="JPEG")
    return buffer.getvalue()

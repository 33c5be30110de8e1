"""Whether the picks of runs lie in heaps, as a table in Markdown.

    python experiments/heaps.py runs/camvid/*-1%-seed0

Of all labels of a run: the share that turned out void; how many separate places there are for each
region (regions that touch, by side or corner, are one place); and how many pixels of an image have
a label at the size that is trained on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from alseg.compare.runs import read_run
from alseg.config.size import parse_size
from alseg.data.label_space import IGNORE
from alseg.data.shrink import shrink_labels
from alseg.labels import LabelStore

HEADER = "| run | void | places a region | labelled pixels an image | mIoU |\n" + "| --- " * 5 + "|"


def heaps(store: LabelStore, size: tuple[int, int]) -> tuple[float, float, float]:
    """Return the share of void, the places a region, and the labelled pixels of an image.

    Args:
        store: The label store of a run.
        size: Height and width that it is trained on, in pixels.
    """
    places = labelled = 0
    for image in store.images:
        asked = store.asked(image.id).astype(np.uint8)
        places += cv2.connectedComponents(asked, connectivity=8)[0] - 1
        labelled += np.count_nonzero(shrink_labels(store.label(image.id), size) != IGNORE)
    void = store.void_pixels / store.asked_pixels
    return void, places / store.regions, labelled / len(store.images)


def main() -> None:
    """Print a row for every run that is named."""
    parser = argparse.ArgumentParser(description="Whether the picks of runs lie in heaps.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs with their labels")
    print(HEADER)
    for folder in parser.parse_args().runs:
        run = read_run(folder)
        if run.problem:
            print(f"{folder}: {run.problem}", file=sys.stderr)
            continue
        if run.is_bound or run.settings["size"] is None:
            print(f"{folder}: it asked for no labels or has no size", file=sys.stderr)
            continue
        size = parse_size("size", run.settings["size"])
        void, places, pixels = heaps(LabelStore.open(folder / "labels"), size)
        miou = 100 * run.miou
        print(f"| {folder.name} | {void:.1%} | {places:.2f} | {pixels:.0f} | {miou:.1f} |")


if __name__ == "__main__":
    main()

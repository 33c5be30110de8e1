"""CamVid itself, against the numbers that its README states."""

import re

import numpy as np
import pytest

from alseg.data import describe, open_dataset


@pytest.fixture(scope="module")
def camvid(shared):
    return shared / "data" / "camvid"


@pytest.mark.parametrize(
    ("adapter", "split", "count"),
    [
        ("camvid", "train", 367),
        ("camvid", "val", 101),
        ("camvid", "test", 233),
        ("camvid-day", "train", 305),
        ("camvid-day", "val", 101),
        ("camvid-dusk", "train", 62),
        ("camvid-dusk", "test", 62),
    ],
)
def test_splits_have_the_stated_number_of_frames(adapter, split, count, camvid):
    dataset = open_dataset(f"{adapter}:{camvid}", split)
    assert len(dataset) == count
    assert dataset.has_labels
    dusk = [id_.startswith("0001TP") for id_ in dataset.ids]
    assert adapter == "camvid" or all(dusk) == any(dusk) == (adapter == "camvid-dusk")


def test_frames_are_360_by_480(camvid):
    dataset = open_dataset(f"camvid:{camvid}", "val")
    assert dataset.size(0) == (360, 480)
    assert dataset.image(0).shape == (360, 480, 3)
    assert dataset.label(0).shape == (360, 480)


def test_pixel_shares_are_those_of_the_readme(camvid):
    pixels, void = np.zeros(11), 0
    for split in ("train", "val", "test"):
        summary = describe(open_dataset(f"camvid:{camvid}", split))
        assert summary.problems == ()
        pixels += summary.class_pixels
        void += summary.void_pixels
    readme = (camvid / "README.md").read_text()
    listed, stated_void = re.search(r"Pixel shares: ([\d., ]+), void ([\d.]+) %", readme).groups()
    stated = [float(share) for share in listed.split(",")]
    total = pixels.sum() + void
    # The README rounds to a tenth of a percent.
    assert np.abs(100 * pixels / total - stated).max() <= 0.051
    assert abs(100 * void / total - float(stated_void)) <= 0.051

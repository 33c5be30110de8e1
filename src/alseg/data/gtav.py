"""GTAV, "Playing for Data" (Richter et al., ECCV 2016): 24,966 frames of a game with labels."""

from __future__ import annotations

from pathlib import Path

from alseg.data.file_dataset import FileDataset
from alseg.data.files import find_pairs, require_folder, scan
from alseg.data.label_space import load_label_space
from alseg.data.mapping import LabelMapping
from alseg.errors import DatasetError

_REMEDY = (
    "Unpack the published archives into one folder, so that it holds images/00001.png and "
    "labels/00001.png, and name that folder."
)


def open_gtav(root: Path, split: str) -> FileDataset:
    """Open ``images/*.png`` and ``labels/*.png`` below ``root``, in Cityscapes' 19 classes.

    The label files are palette PNGs whose indices are the label ids of Cityscapes.

    Raises:
        DatasetError: The split is not ``train``, which is all frames as in the literature; or
            files are missing.
    """
    if split != "train":
        raise DatasetError(
            f"GTAV has no {split} split here: as in the published experiments all its frames are "
            "for training. Validate on another data set."
        )
    images, labels = root / "images", root / "labels"
    require_folder(images, "GTAV's frames", _REMEDY)
    pairs = find_pairs(
        scan(images, [".png"]),
        scan(labels, [".png"]) if labels.is_dir() else None,
        f"{images}/*.png",
        f"{labels}/*.png",
    )
    mapping = LabelMapping.load("cityscapes_ids", load_label_space("cityscapes19"))
    return FileDataset("gtav", split, pairs, mapping)

"""CamVid (Brostow, Fauqueur, Cipolla, 2009): four drives through Cambridge, one of them at dusk."""

from __future__ import annotations

from pathlib import Path

from alseg.data.file_dataset import FileDataset
from alseg.data.files import IMAGE_SUFFIXES, find_pairs, require_folder, scan
from alseg.data.label_space import load_label_space
from alseg.data.mapping import LabelMapping
from alseg.errors import DatasetError

_DUSK = "0001TP"
_REMEDY = (
    "Arrange the frames as images/{train,val,test}/NAME.jpg (or .png) and their labels, with the "
    "values 0-10 and 255 for void, as labels/{train,val,test}/NAME.png."
)


def open_camvid(root: Path, split: str) -> FileDataset:
    """Open all frames of a split of the SegNet tutorial, in 11 classes.

    Raises:
        DatasetError: Files are missing.
    """
    return _open(root, split, "camvid", sequences=None)


def open_camvid_day(root: Path, split: str) -> FileDataset:
    """Open the frames of a split that were taken by day.

    Raises:
        DatasetError: Files are missing.
    """
    return _open(root, split, "camvid-day", sequences="day")


def open_camvid_dusk(root: Path, split: str) -> FileDataset:
    """Open the frames of a split that were taken at dusk.

    ``train`` is the first half of that drive, ``test`` the second.

    Raises:
        DatasetError: The split is ``val``, which has no frame of that drive; or files are missing.
    """
    if split == "val":
        raise DatasetError(
            "camvid-dusk has no val split: all frames of that drive are in train and test. Choose "
            "settings on the source domain or by cross-validation inside train."
        )
    return _open(root, split, "camvid-dusk", sequences="dusk")


def _open(root: Path, split: str, name: str, sequences: str | None) -> FileDataset:
    images, labels = root / "images" / split, root / "labels" / split
    require_folder(images, f"the {split} frames of CamVid", _REMEDY)
    pairs = find_pairs(
        scan(images, IMAGE_SUFFIXES),
        scan(labels, [".png"]) if labels.is_dir() else None,
        f"{images}/NAME.jpg",
        f"{labels}/NAME.png",
    )
    if sequences is not None:
        pairs = [pair for pair in pairs if pair.id.startswith(_DUSK) == (sequences == "dusk")]
    if not pairs:
        raise DatasetError(
            f"{images} holds no frame of {name}: the frames of the drive at dusk are those whose "
            f"names start with {_DUSK}. Check that all frames of the split are there."
        )
    return FileDataset(name, split, pairs, LabelMapping.identity(load_label_space("camvid11")))

"""Cityscapes (Cordts et al., CVPR 2016): street scenes of 50 cities with fine annotations."""

from __future__ import annotations

from pathlib import Path

from alseg.data.file_dataset import FileDataset
from alseg.data.files import find_pairs, require_folder, scan
from alseg.data.label_space import load_label_space
from alseg.data.mapping import LabelMapping

_IMAGE, _IDS, _TRAIN_IDS = (
    "_leftImg8bit.png",
    "_gtFine_labelIds.png",
    "_gtFine_labelTrainIds.png",
)
_REMEDY = (
    "Unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into one folder, so that it "
    "holds leftImg8bit/ and gtFine/, and name that folder."
)


def open_cityscapes(root: Path, split: str) -> FileDataset:
    """Open ``leftImg8bit/SPLIT/CITY/`` and ``gtFine/SPLIT/CITY/`` below ``root``.

    Files of train ids are read where those of label ids are absent. The published test labels are
    all void, so the test split opens without labels.

    Raises:
        DatasetError: Files are missing.
    """
    images = root / "leftImg8bit" / split
    require_folder(images, f"the {split} images of Cityscapes", _REMEDY)
    space = load_label_space("cityscapes19")
    folder = root / "gtFine" / split
    labels, ending = None, _IDS
    if folder.is_dir() and split != "test":
        labels = scan(folder, [_IDS.lower()])
        if not labels and (train_ids := scan(folder, [_TRAIN_IDS.lower()])):
            labels, ending = train_ids, _TRAIN_IDS
    pairs = find_pairs(
        scan(images, [_IMAGE.lower()]),
        labels,
        f"{images}/CITY/*{_IMAGE}",
        f"{folder}/CITY/*{ending}",
    )
    if ending == _TRAIN_IDS:
        mapping = LabelMapping.identity(space)
    else:
        mapping = LabelMapping.load("cityscapes_ids", space)
    return FileDataset("cityscapes", split, pairs, mapping)

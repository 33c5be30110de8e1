"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9,400 rendered street scenes with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alseg.data.file_dataset import FileDataset
from alseg.data.files import find_pairs, require_folder, scan
from alseg.data.images import LABEL_FORMATS, read_header
from alseg.data.label_space import load_label_space
from alseg.data.mapping import LabelMapping
from alseg.errors import DatasetError

_RED = 2
_REMEDY = (
    "Unpack RAND_CITYSCAPES, so that its folder holds RGB/0000000.png and "
    "GT/LABELS/0000000.png, and name that folder."
)


def open_synthia(root: Path, split: str) -> FileDataset:
    """Open ``RGB/*.png`` and ``GT/LABELS/*.png`` below ``root``, in the 16 shared classes.

    Raises:
        DatasetError: The split is not ``train``, which is all scenes as in the literature; or
            files are missing.
    """
    if split != "train":
        raise DatasetError(
            f"SYNTHIA has no {split} split here: as in the published experiments all its scenes "
            "are for training. Validate on another data set."
        )
    images, labels = root / "RGB", root / "GT" / "LABELS"
    require_folder(images, "SYNTHIA's scenes", _REMEDY)
    pairs = find_pairs(
        scan(images, [".png"]),
        scan(labels, [".png"]) if labels.is_dir() else None,
        f"{images}/*.png",
        f"{labels}/*.png",
    )
    mapping = LabelMapping.load("synthia_ids", load_label_space("synthia16"))
    return FileDataset("synthia", split, pairs, mapping, read_class_channel)


def read_class_channel(path: Path) -> NDArray[np.integer]:
    """Return the first channel of a 16-bit label PNG, the class ids, H×W.

    The second channel holds instances. Pillow reduces such files to 8 bits, so OpenCV reads them.

    Raises:
        DatasetError: The file is missing, damaged or no PNG.
    """
    import cv2

    read_header(path, LABEL_FORMATS)
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DatasetError(
            f"{path} cannot be read as a label file. "
            "It may be truncated or damaged: unpack it from the archive again."
        )
    # OpenCV orders channels as blue, green, red, so the file's first channel comes third.
    return np.asarray(values if values.ndim == 2 else values[..., _RED]).astype(np.uint16)

"""ACDC (Sakaridis et al., ICCV 2021): street scenes in fog, at night, in rain and in snow."""

from __future__ import annotations

from pathlib import Path

from alseg.data.file_dataset import FileDataset
from alseg.data.files import find_pairs, require_folder, scan
from alseg.data.label_space import load_label_space
from alseg.data.mapping import LabelMapping
from alseg.errors import DatasetError, did_you_mean

CONDITIONS = ("fog", "night", "rain", "snow")

_IMAGE, _IDS = "_rgb_anon.png", "_gt_labelIds.png"
_REMEDY = (
    "Unpack rgb_anon_trainvaltest.zip and gt_trainval.zip into one folder, so that it holds "
    "rgb_anon/ and gt/, and name that folder."
)


def open_acdc(root: Path, split: str, condition: str = "all") -> FileDataset:
    """Open ``rgb_anon/CONDITION/SPLIT/SEQUENCE/`` and ``gt/CONDITION/SPLIT/SEQUENCE/``.

    The labels of the test split are withheld by the publisher; it opens without.

    Args:
        root: The folder that holds ``rgb_anon`` and ``gt``.
        split: ``train``, ``val`` or ``test``.
        condition: ``fog``, ``night``, ``rain``, ``snow`` or ``all``.

    Raises:
        DatasetError: The condition is not one of these, or files are missing.
    """
    if condition not in ("all", *CONDITIONS):
        raise DatasetError(
            f"ACDC has no condition {condition!r}."
            f"{did_you_mean(str(condition), ('all', *CONDITIONS))} "
            f"Choose one of all, {', '.join(CONDITIONS)}."
        )
    chosen = CONDITIONS if condition == "all" else (condition,)
    images, labels = {}, {}
    labelled = split != "test" and any((root / "gt" / name / split).is_dir() for name in chosen)
    for name in chosen:
        folder = root / "rgb_anon" / name / split
        require_folder(folder, f"the {split} images of ACDC in {name}", _REMEDY)
        images.update(scan(folder, [_IMAGE], prefix=f"{name}/"))
        labels.update(scan(root / "gt" / name / split, [_IDS.lower()], prefix=f"{name}/"))
    pairs = find_pairs(
        images,
        labels if labelled else None,
        f"{root}/rgb_anon/{_one_of(chosen)}/{split}/SEQUENCE/*{_IMAGE}",
        f"{root}/gt/{_one_of(chosen)}/{split}/SEQUENCE/*{_IDS}",
    )
    mapping = LabelMapping.load("cityscapes_ids", load_label_space("cityscapes19"))
    name = "acdc" if condition == "all" else f"acdc-{condition}"
    return FileDataset(name, split, pairs, mapping)


def _one_of(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else "{" + ",".join(names) + "}"

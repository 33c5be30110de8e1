"""A user's own images and label PNGs, described by a short YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from alseg.config.yaml_file import read_yaml
from alseg.data.file_dataset import FileDataset
from alseg.data.files import (
    IMAGE_SUFFIXES,
    common_suffix,
    composed,
    find_pairs,
    listing,
    require_folder,
    scan,
    without_companions,
)
from alseg.data.label_space import LabelSpace, distinct_color, rgb
from alseg.data.mapping import LabelMapping
from alseg.data.value_range import ValueRange, counted
from alseg.errors import ConfigError, DatasetError, did_you_mean

_KEYS = ("name", "images", "labels", "label_suffix", "classes", "mapping", "channels", "scale")
_SPLITS = ("train", "val", "test")
_EXAMPLE = (
    "It needs `images: FOLDER` and `classes: [road, car]`, and takes `labels: FOLDER`, "
    "`label_suffix: _mask`, `mapping: {0: void, 1: road, 2: car}` and `name: NAME`."
)


def open_folder(description: Path, split: str) -> FileDataset:
    """Open a split of the data set that a YAML file describes.

    ``images`` and ``labels`` are each either one folder with subfolders ``train``, ``val`` and
    ``test``, or one folder per split (``{train: some/folder, val: another}``); relative paths
    start at the YAML file. Images are found at any depth and matched with label PNGs by their
    path without the ending. ``classes`` lists names, or ``{name: ..., color: [r, g, b]}``.
    ``mapping`` goes from the values in the label PNGs to class names or ``void``; without it the
    values are the positions in the class list, and 255 is void. ``label_suffix`` is what label
    PNGs are called beyond their images, such as ``_mask``; they may then be in the same folder.
    ``channels`` is how many channels every image has; without it all are read as RGB. ``scale`` is
    the range, such as ``[0, 4095]``, that images of more than 8 bits per channel are scaled from,
    or one for each channel; without it that is the range of all images of all splits.

    Raises:
        DatasetError: The description cannot be used, or files are missing.
    """
    content = _read(description)
    space = _label_space(content, description)
    if "mapping" not in content:
        mapping = LabelMapping.identity(space)
    elif isinstance(content["mapping"], Mapping):
        mapping = LabelMapping(content["mapping"], space)
    else:
        raise DatasetError(f"`mapping` in {description} is not a mapping. {_EXAMPLE}")
    images = _images_folder(content["images"], split, description)
    labels = _labels_folder(content.get("labels"), split, description)
    suffix = _label_suffix(content, description)
    channels = _channels(content, description)
    found = scan(images, IMAGE_SUFFIXES)
    if labels is not None:
        found = _apart_from_labels(found, images, labels, suffix, description)
    pairs = find_pairs(
        found,
        scan(labels, [f"{suffix}.png".lower()]) if labels is not None else None,
        f"files in {images} that end in {', '.join(IMAGE_SUFFIXES)}",
        f"files in {labels} that end in {suffix}.png",
        lambda added: f"Write `label_suffix: {suffix}{added}` in {description}." if added else "",
    )
    return FileDataset(
        space.name,
        split,
        pairs,
        mapping,
        void_assumed="mapping" not in content,
        scale=_scale(content, channels, description),
        channels=channels,
        all_images=partial(_all_images, content["images"], description),
    )


def _label_suffix(content: Mapping[str, Any], description: Path) -> str:
    suffix = content.get("label_suffix", "")
    if not isinstance(suffix, str) or "/" in suffix or "\\" in suffix:
        raise DatasetError(
            f"`label_suffix` in {description} is {suffix!r}; write what the names of labels have "
            "behind those of their images, such as _mask, in quotes if it is a number."
        )
    return composed(suffix[:-4] if suffix.lower().endswith(".png") else suffix)


def _apart_from_labels(
    found: dict[str, Path], images: Path, labels: Path, suffix: str, description: Path
) -> dict[str, Path]:
    """Leave label files out where they are in the folder of the images or below it."""
    inside, around = labels.resolve(), images.resolve()
    if inside == around:
        if not suffix:
            beside = common_suffix(list(without_companions(found)), found) or "_mask"
            raise DatasetError(
                f"Images and labels are in the same folder, {images}. Write "
                f"`label_suffix: {beside}` in {description} if labels are named like "
                f"NAME{beside}.png."
            )
        ending = f"{suffix}.png".lower()
        return {
            id_: path
            for id_, path in found.items()
            if not composed(path.name).lower().endswith(ending)
        }
    if around not in inside.parents:
        return found
    return {id_: path for id_, path in found.items() if inside not in path.resolve().parents}


def _channels(content: Mapping[str, Any], description: Path) -> int | None:
    channels = content.get("channels")
    if channels is None:
        return None
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        raise DatasetError(
            f"`channels` in {description} is {channels!r}; write how many channels every image "
            "has, such as 4, or leave it out for RGB."
        )
    return channels


def _scale(
    content: Mapping[str, Any], channels: int | None, description: Path
) -> ValueRange | None:
    if "scale" not in content:
        return None
    try:
        scale = ValueRange.parse(content["scale"])
    except DatasetError as error:
        raise DatasetError(f"`scale` in {description}: {error}") from error
    if scale.channels not in (None, channels or 3):
        raise DatasetError(
            f"`scale` in {description} has {scale.channels} pairs, but its images have "
            f"{counted(channels or 3)}. Write one pair for each, or one for all."
        )
    return scale


def _all_images(where: object, description: Path) -> list[Path]:
    """Return the images of all splits that there are."""
    found: dict[Path, None] = {}
    for split in _SPLITS:
        try:
            folder = _images_folder(where, split, description)
        except DatasetError:
            continue
        images = without_companions(scan(folder, IMAGE_SUFFIXES))
        found.update(dict.fromkeys(images.values()))
    return list(found)


def _read(description: Path) -> dict[str, Any]:
    if not description.is_file():
        what = "is a folder" if description.is_dir() else "does not exist"
        raise DatasetError(
            f"`folder:` takes a YAML file that describes the data; {description} {what}. {_EXAMPLE}"
        )
    try:
        content = read_yaml(description)
    except ConfigError as error:
        raise DatasetError(str(error)) from error
    if not isinstance(content, dict):
        raise DatasetError(f"{description} does not describe a data set. {_EXAMPLE}")
    for key in content:
        if key not in _KEYS:
            raise DatasetError(
                f"{description} has an unknown key {key!r}.{did_you_mean(str(key), _KEYS)} "
                f"Known keys: {', '.join(_KEYS)}."
            )
    for key in ("images", "classes"):
        if not content.get(key):
            raise DatasetError(f"{description} lacks {key!r}. {_EXAMPLE}")
    return content


def _label_space(content: Mapping[str, Any], description: Path) -> LabelSpace:
    entries = content["classes"]
    if not isinstance(entries, list):
        raise DatasetError(f"`classes` in {description} is not a list. {_EXAMPLE}")
    names, colors = [], []
    for position, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            entry = {"name": entry}
        # YAML reads names such as `on`, `no` or `5` as other things than text.
        if not isinstance(entry.get("name"), str) or set(entry) - {"name", "color"}:
            raise DatasetError(
                f"Class {position} in {description} is {dict(entry)}; write its name, in quotes "
                "if it is a number or a word such as on or no, or {name: road, color: [r, g, b]}."
            )
        names.append(entry["name"])
        colors.append(rgb(entry["color"]) if "color" in entry else distinct_color(position))
    name = str(content.get("name") or description.stem)
    return LabelSpace(name=name, classes=tuple(names), colors=tuple(colors))


def _images_folder(where: object, split: str, description: Path) -> Path:
    if not isinstance(where, Mapping):
        root = _existing(where, "images", description)
        if (root / split).is_dir():
            return root / split
        raise DatasetError(
            f"{root}, named by `images` in {description}, has no folder {split!r}; it holds "
            f"{listing(root)}. Sort the images into train, val and test there, or name one folder "
            f"per split: `images: {{{split}: FOLDER}}`."
        )
    _check_splits(where, "images", description)
    if split not in where:
        raise DatasetError(
            f"`images` in {description} names no folder for the {split} split, only for "
            f"{', '.join(where)}. Add `{split}: FOLDER`."
        )
    return _existing(where[split], "images", description)


def _labels_folder(where: object, split: str, description: Path) -> Path | None:
    """Return the folder of the split's labels; None if the split has none by intention.

    A folder that is named but missing is a slip of the pen, and an error.
    """
    if where is None:
        return None
    if not isinstance(where, Mapping):
        folder = _existing(where, "labels", description) / split
        return folder if folder.is_dir() else None
    _check_splits(where, "labels", description)
    return _existing(where[split], "labels", description) if split in where else None


def _check_splits(where: Mapping[Any, Any], key: str, description: Path) -> None:
    for name in where:
        if name not in _SPLITS:
            raise DatasetError(
                f"`{key}` in {description} names a split {name!r}."
                f"{did_you_mean(str(name), _SPLITS)} Splits are {', '.join(_SPLITS)}."
            )


def _existing(where: object, key: str, description: Path) -> Path:
    if not isinstance(where, str):
        raise DatasetError(f"`{key}` in {description} is not a path: {where!r}. {_EXAMPLE}")
    return require_folder(
        description.parent / Path(where).expanduser(),
        key,
        f"Correct `{key}` in {description}; relative paths start at that file.",
    )

"""Opening a data set by its name: ``ADAPTER:WHERE``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from alseg.data.base import RelabelledDataset, SegmentationDataset
from alseg.data.label_space import LabelSpace, load_label_space
from alseg.errors import DatasetError, did_you_mean

SPLITS = ("train", "val", "test")

_ADAPTERS = {
    "acdc": "alseg.data.acdc:open_acdc",
    "camvid": "alseg.data.camvid:open_camvid",
    "camvid-day": "alseg.data.camvid:open_camvid_day",
    "camvid-dusk": "alseg.data.camvid:open_camvid_dusk",
    "cityscapes": "alseg.data.cityscapes:open_cityscapes",
    "folder": "alseg.data.folder:open_folder",
    "gtav": "alseg.data.gtav:open_gtav",
    "scenes": "alseg.data.scenes:Scenes",
    "synthia": "alseg.data.synthia:open_synthia",
}
_RENDERED = ("scenes",)


def available_datasets() -> list[str]:
    """Return the names of the adapters, as they go before the colon."""
    return sorted(_ADAPTERS)


def is_relative(spec: str) -> bool:
    """Return whether the current directory decides where the data of a spec are looked for."""
    adapter, _, where = spec.partition(":")
    return adapter not in _RENDERED and not Path(where).expanduser().is_absolute()


def is_there(spec: str) -> bool:
    """Return whether the folder or file of a spec exists; what is rendered always does."""
    adapter, _, where = spec.partition(":")
    return adapter in _RENDERED or Path(where).expanduser().exists()


def absolute(spec: str) -> str:
    """Return a spec that names the same data from any current directory."""
    adapter, _, where = spec.partition(":")
    return f"{adapter}:{Path(where).expanduser().absolute()}" if is_relative(spec) else spec


def open_dataset(
    spec: str,
    split: str,
    label_space: str | LabelSpace | None = None,
    **options: Any,
) -> SegmentationDataset:
    """Open a split of a data set; no image is decoded.

    Args:
        spec: ``ADAPTER:WHERE``, such as ``cityscapes:/data/cityscapes``, ``folder:mine.yaml`` or
            ``scenes:sim``.
        split: ``train``, ``val`` or ``test``.
        label_space: The classes to give the labels in, matched by name; what the space lacks
            becomes void. None keeps the data set's own.
        **options: What the adapter takes besides, such as ``condition="fog"`` of ``acdc``.

    Raises:
        DatasetError: The adapter, split, label space or an option does not exist, or the data set
            is not as its publisher ships it.
    """
    adapter, colon, where = spec.partition(":")
    if not colon or not where:
        example = adapter if adapter in _ADAPTERS else "cityscapes"
        shown = "sim" if example in _RENDERED else "/data/" + example
        raise DatasetError(
            f"A data set is named ADAPTER:WHERE, such as {example}:{shown}; got {spec!r}."
            f"{'' if adapter in _ADAPTERS else did_you_mean(adapter, _ADAPTERS)} "
            f"Adapters: {', '.join(available_datasets())}."
        )
    if adapter not in _ADAPTERS:
        raise DatasetError(
            f"No data set adapter is called {adapter!r}.{did_you_mean(adapter, _ADAPTERS)} "
            f"Adapters: {', '.join(available_datasets())}; your own images open with "
            "folder:DESCRIPTION.yaml."
        )
    if split not in SPLITS:
        raise DatasetError(
            f"No split is called {split!r}.{did_you_mean(split, SPLITS)} "
            f"Splits are {', '.join(SPLITS)}."
        )
    if isinstance(label_space, str):
        label_space = load_label_space(label_space)
    open_adapter = _load(adapter)
    _check_options(adapter, open_adapter, options)
    place = where if adapter in _RENDERED else Path(where).expanduser()
    dataset = open_adapter(place, split, **options)
    if label_space is None or label_space == dataset.label_space:
        return dataset
    return RelabelledDataset(dataset, label_space)


def _load(adapter: str) -> Callable[..., SegmentationDataset]:
    module, name = _ADAPTERS[adapter].split(":")
    open_adapter: Callable[..., SegmentationDataset] = getattr(import_module(module), name)
    return open_adapter


def _check_options(adapter: str, opener: Callable[..., Any], options: dict[str, Any]) -> None:
    known = list(inspect.signature(opener).parameters)[2:]
    for option in options:
        if option not in known:
            raise DatasetError(
                f"Data set {adapter!r} has no option {option!r}.{did_you_mean(option, known)} "
                + (f"Its options: {', '.join(known)}." if known else "It takes none.")
            )

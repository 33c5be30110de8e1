"""The labels of a store as ordinary label images, for programs that know nothing of the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.config.yaml_file import write_mapping
from alseg.data.label_space import IGNORE
from alseg.errors import ConfigError, LabelStoreError
from alseg.labels.store import LabelStore
from alseg.storage.whole_folder import export_folder

CLASSES = "classes.yaml"


@dataclass(frozen=True)
class Export:
    """What an export wrote.

    Attributes:
        folder: Where it lies.
        round_number: The round whose state it is.
        images: Images with a file.
        left_out: Images that were never asked for and have none.
        pixels: Pixels with a class.
        void: Pixels that were asked for and are void.
    """

    folder: Path
    round_number: int
    images: int
    left_out: int
    pixels: int
    void: int


def export_labels(
    store: LabelStore,
    folder: str | Path,
    up_to_round: int | None = None,
    palette: NDArray[np.uint8] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Export:
    """Write ``ID.png`` for every image that was asked for, and ``classes.yaml``.

    The PNGs have 8 bits that hold the class number, or 255 for void and for what nobody asked for.
    All is written to a folder beside the one that is named, which appears when all of it is there.

    Args:
        store: The label store.
        folder: Where to write; it must not exist, or be empty.
        up_to_round: The round whose state is written; None takes the newest.
        palette: Colours of the 256 values, 256×3, to show the classes in; None writes grey levels.
        progress: Called with the number of images written and of all that will be.

    Raises:
        ConfigError: The folder is in use, lies in the store or cannot be written, or there is no
            such round.
        LabelStoreError: A label on disk is damaged.
    """
    target = Path(folder).resolve()
    if target.is_relative_to(store.folder.resolve()):
        raise ConfigError(
            f"{target} lies in the label store {store.folder}, which would be taken for damaged. "
            "Name a folder outside of it."
        )
    number = _check_round(store, up_to_round)
    asked = store.spent("pixels", number)
    images = [image for image, count in zip(store.images, asked, strict=True) if count]
    pixels = 0
    with export_folder(target) as draft:
        for done, image in enumerate(images, start=1):
            label = store.label(image.id, number)
            pixels += int((label != IGNORE).sum())
            _save(draft / f"{image.id}.png", label, palette)
            if progress is not None:
                progress(done, len(images))
        names = write_mapping({"classes": list(store.classes), "ignore": IGNORE})
        (draft / CLASSES).write_text(names, encoding="utf-8")
    return Export(
        folder=target,
        round_number=number,
        images=len(images),
        left_out=len(store.images) - len(images),
        pixels=pixels,
        void=int(store.spent("void", number).sum()),
    )


def _check_round(store: LabelStore, up_to_round: int | None) -> int:
    newest = store.rounds
    if not newest:
        raise LabelStoreError(
            f"{store.folder} has no label yet: no round is finished. Resume the run first."
        )
    if up_to_round is not None and not 1 <= up_to_round <= newest:
        raise ConfigError(
            f"{store.folder} has no round {up_to_round}; allowed are 1 to {newest}, the newest."
        )
    return up_to_round or newest


def _save(path: Path, label: NDArray[np.uint8], palette: NDArray[np.uint8] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(label)
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(path, format="PNG")

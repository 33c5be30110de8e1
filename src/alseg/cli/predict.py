"""``alseg predict``: segment images with a checkpoint."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alseg.cli.parser import CommandParser
from alseg.data.image_files import find_images
from alseg.distributed import interruption
from alseg.errors import ConfigError, DatasetError, did_you_mean
from alseg.storage.durable import replace_durably

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS, OVERLAYS, PROBABILITIES, LEGEND = "labels", "overlays", "probabilities", "legend.png"
"""What it writes."""

LEGEND_WIDTH = 640
"""Pixels across the picture that names the colours."""

ABOUT = """Segment images with the network of a checkpoint. Writes OUT/labels/NAME.png, the class
ids in 8 bits; OUT/overlays/NAME.png, the image with every class filled weakly and outlined in its
colour; both at the size of the image; and OUT/legend.png, which names the colours."""

ABOUT_PROBABILITIES = """also write OUT/probabilities/NAME.npz: `probabilities`, float16 of shape
C,H,W from 0 to 1 that sum to 1 over C at every pixel of the image, and `classes`, the C names"""


def run(argv: Sequence[str]) -> int:
    """Write labels and overlays of images; files that are no images are left out and counted.

    Raises:
        AlsegError: The checkpoint or the images cannot be found, or OUT holds an earlier result.
    """
    parser = CommandParser("predict", "CKPT IMAGES [IMAGES ...] -o OUT", ABOUT)
    parser.add("checkpoint", metavar="CKPT", help="checkpoint of a run")
    parser.add("images", nargs="+", metavar="IMAGES", help="image files, or folders of them")
    parser.add("-o", "--out", required=True, metavar="OUT", help="folder to write to")
    parser.add(
        "--device", default="auto", help="torch device, such as cpu or cuda:1 (default: auto)"
    )
    parser.add(
        "--clear",
        action="append",
        default=[],
        metavar="CLASS",
        help="class that the overlays leave as the image is, such as background; may be repeated",
    )
    parser.add("--probabilities", action="store_true", help=ABOUT_PROBABILITIES)
    arguments = parser.parse(argv).arguments
    out = Path(arguments["out"])
    images = find_images(arguments["images"], out)
    _check_unused(out)

    # The training stack takes seconds to import; a misspelt path is answered before that.
    import numpy as np
    from tqdm import tqdm

    from alseg.data.value_range import displayed, range_of, read_pixels
    from alseg.runs.checkpoint import load_trained
    from alseg.runs.pictures import legend, overlay, save_png

    module, trained = load_trained(arguments["checkpoint"], arguments["device"])
    # RGB is read as such, whatever the files hold; of other channels every image has as many.
    channels = None if module.in_channels == 3 else module.in_channels
    values = trained or range_of(tuple(images.values()), channels)
    interruption.say(f"Stopped. The images so far are in {out}; run again with another -o.")
    space = module.label_space
    clear = _ids_of(arguments["clear"], space.classes)
    found: set[int] = set()
    left_out = 0
    for name, path in tqdm(images.items(), desc="predicting", unit="image"):
        try:
            image = read_pixels(path, values, channels)
        except DatasetError as error:
            left_out += 1
            tqdm.write(f"left out: {error}", file=sys.stderr)
            continue
        if arguments["probabilities"]:
            probabilities = module.class_probabilities(image)
            label = probabilities.argmax(0).astype(np.uint8)
            _save_probabilities(out / PROBABILITIES / f"{name}.npz", probabilities, space.classes)
        else:
            label = module.segment(image)
        save_png(out / LABELS / f"{name}.png", label)
        save_png(
            out / OVERLAYS / f"{name}.png", overlay(displayed(image), label, space, clear=clear)
        )
        found.update(np.unique(label).tolist())
    if found:
        save_png(out / LEGEND, legend(space, LEGEND_WIDTH, present=found - clear))
    print(f"{len(images) - left_out} images segmented into {len(space)} classes")
    if values is not None:
        print(f"values    {values.said(trained is not None)}")
    print(f"labels    {out / LABELS} (class ids: {_ids(space.classes)})")
    print(f"overlays  {out / OVERLAYS} (colours: {out / LEGEND})")
    if arguments["probabilities"]:
        print(f"probabilities {out / PROBABILITIES}")
    if left_out:
        files = "1 file was" if left_out == 1 else f"{left_out} files were"
        print(f"{files} left out: not readable as an image that the network takes", file=sys.stderr)
    return 1 if left_out else 0


def _check_unused(out: Path) -> None:
    for name in (LABELS, OVERLAYS, PROBABILITIES, LEGEND):
        if (out / name).exists():
            raise ConfigError(
                f"{out / name} exists, and nothing is overwritten. Name another folder with -o, or "
                "remove it."
            )


def _ids_of(names: Sequence[str], classes: Sequence[str]) -> set[int]:
    for name in names:
        if name not in classes:
            raise ConfigError(
                f"--clear {name}: the network has no such class.{did_you_mean(name, classes)} "
                f"Its classes are {', '.join(classes)}."
            )
    return {classes.index(name) for name in names}


def _save_probabilities(
    path: Path, probabilities: NDArray[np.float32], classes: Sequence[str]
) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, probabilities=probabilities.astype(np.float16), classes=np.array(classes)
    )
    replace_durably(path, buffer.getbuffer())


def _ids(classes: Sequence[str]) -> str:
    return ", ".join(f"{train_id} {name}" for train_id, name in enumerate(classes))

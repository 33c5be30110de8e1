"""``alseg predict``: segment images with a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from alseg.cli.image_files import find_images
from alseg.cli.parser import CommandParser
from alseg.errors import ConfigError, DatasetError

ABOUT = """Segment images with the network of a checkpoint. Writes OUT/labels/NAME.png, the class
ids in 8 bits at the image's size, and OUT/overlays/NAME.png, the classes in colour over the image
with a legend."""


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
    arguments = parser.parse(argv).arguments
    out = Path(arguments["out"])
    images = find_images(arguments["images"], leave_out=out)
    _check_unused(out)

    # The training stack takes seconds to import; a misspelt path is answered before that.
    import numpy as np
    from tqdm import tqdm

    from alseg.cli.checkpoint import load_trained
    from alseg.data.value_range import range_of, read_image
    from alseg.pictures import legend, overlay, save_png

    module, trained = load_trained(arguments["checkpoint"], arguments["device"])
    values = trained or range_of(tuple(images.values()))
    space = module.label_space
    left_out = 0
    for name, path in tqdm(images.items(), desc="predicting", unit="image"):
        try:
            image = read_image(path, values)
        except DatasetError as error:
            left_out += 1
            tqdm.write(f"left out: {error}", file=sys.stderr)
            continue
        label = module.segment(image)
        save_png(out / "labels" / f"{name}.png", label)
        picture = overlay(image, label, space)
        named = legend(space, image.shape[1], present=set(np.unique(label).tolist()))
        save_png(out / "overlays" / f"{name}.png", np.concatenate([picture, named]))
    print(f"{len(images) - left_out} images segmented into {len(space)} classes")
    if values is not None:
        print(f"values    {values.said(trained is not None)}")
    print(f"labels    {out / 'labels'} (class ids: {_ids(space.classes)})")
    print(f"overlays  {out / 'overlays'}")
    if left_out:
        files = "1 file was" if left_out == 1 else f"{left_out} files were"
        print(f"{files} left out: not readable as an image", file=sys.stderr)
    return 1 if left_out else 0


def _check_unused(out: Path) -> None:
    for folder in (out / "labels", out / "overlays"):
        if folder.exists():
            raise ConfigError(
                f"{folder} is there already, and nothing in it is overwritten. Name another "
                "folder with -o, or remove that one."
            )


def _ids(classes: Sequence[str]) -> str:
    return ", ".join(f"{train_id} {name}" for train_id, name in enumerate(classes))

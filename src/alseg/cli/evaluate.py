"""``alseg evaluate``: measure a checkpoint on labelled images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alseg.cli.parser import CommandParser
from alseg.config.run import config_from
from alseg.config.settings import names_of
from alseg.distributed import interruption
from alseg.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from alseg.config.run import RunConfig
    from alseg.data import LabelSpace, SegmentationDataset

ABOUT = """Measure mIoU, IoU of each class and pixel accuracy of a checkpoint on the labelled images
of a target, at the resolution of the labels and in the classes of the checkpoint."""


def run(argv: Sequence[str]) -> int:
    """Print the figures of a checkpoint.

    Raises:
        AlsegError: The checkpoint or the images cannot be used, or the images have no labels.
    """
    usage = "CKPT [-c FILE] --target TARGET ..."
    parser = CommandParser("evaluate", usage, ABOUT, names_of("evaluate"))
    parser.add("checkpoint", metavar="CKPT", help="checkpoint of a run")
    parser.add(
        "--split",
        type=str | None,
        default=None,
        metavar="train|val|test",
        help="split to measure on (default: test where it has labels, else val)",
    )
    parser.add(
        "--device", default="auto", help="torch device, such as cpu or cuda:1 (default: auto)"
    )
    settings, arguments = parser.parse(argv)
    interruption.say("Stopped. Nothing is kept of it; run the same command again to measure.")
    if "target" not in settings:
        raise ConfigError("name the images to measure on, such as --target camvid:/data/camvid.")
    config = config_from(settings)

    # The training stack takes seconds to import; a misspelt option is answered before that.
    from alseg.data.checks import check_headers
    from alseg.runs.checkpoint import load_trained
    from alseg.training.evaluation import evaluate

    module, trained = load_trained(arguments["checkpoint"], arguments["device"])
    split = arguments["split"] or config.report_split
    dataset = _open(config, split, module.label_space)
    values = dataset.values
    if values is not None and (trained is None or values.written != trained.written):
        training = f"those of training from {trained}" if trained else "training had no such images"
        print(
            f"Images of more than 8 bits are scaled from {values} here; {training}. "
            "`scale` in the YAML file of the data sets it.\n"
        )
    check_headers(dataset, labels=True)
    scores = evaluate(module, dataset, workers=config.workers, progress=config.progress)
    width = max(map(len, module.label_space.classes))
    print(f"{dataset.name} {dataset.split}, {len(dataset)} images\n")
    for name, iou in zip(module.label_space.classes, scores.iou.tolist(), strict=True):
        print(f"{name:{width}}  {_percent(iou)}")
    print(f"\nmIoU            {_percent(scores.miou)}")
    print(f"pixel accuracy  {_percent(scores.accuracy)}")
    return 0


def _open(config: RunConfig, split: str | None, space: LabelSpace) -> SegmentationDataset:
    from alseg.data import open_dataset

    for candidate in [split] if split else ["test", "val"]:
        try:
            dataset = open_dataset(config.target, candidate, space, **config.target_options)
        except DatasetError:
            if candidate == (split or "val"):
                raise
            continue
        if dataset.has_labels and len(dataset):
            return dataset
    raise DatasetError(
        f"{config.target} has no labels in its {split or 'test and val'} split to measure against. "
        "Name a split that has with --split, or see `alseg predict` for images without labels."
    )


def _percent(share: float) -> str:
    return "    -  " if math.isnan(share) else f"{100 * share:5.1f} %"

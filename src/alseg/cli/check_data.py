"""``alseg check-data``: what the data holds, before anyone trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from alseg.cli.parser import CommandParser
from alseg.config.run import config_from
from alseg.config.settings import names_of
from alseg.errors import ConfigError, DatasetError

ABOUT = """Count images, sizes, classes and void of the source's training images and of every
split of the target, in the classes that a run would learn."""

LIMIT = 200


def run(argv: Sequence[str]) -> int:
    """Print a table of the data; files that cannot be used are listed below it.

    Raises:
        AlsegError: A data set cannot be opened.
    """
    usage = "[-c FILE] [--source S] [--target T] ..."
    parser = CommandParser("check-data", usage, ABOUT, names_of("check-data"))
    parser.add(
        "--limit",
        type=int,
        default=LIMIT,
        metavar="N",
        help=f"images to look into in each split, evenly spread; 0: all (default: {LIMIT})",
    )
    settings, arguments = parser.parse(argv)
    limit = arguments["limit"]
    if limit < 0:
        raise ConfigError(f"--limit is {limit}; give the number of images, or 0 for all.")
    config = config_from(settings)

    from tqdm import tqdm

    from alseg.data import SegmentationDataset, describe, format_table, open_dataset
    from alseg.data.checks import nothing_to_learn

    def target(split: str) -> SegmentationDataset:
        return open_dataset(config.target, split, config.label_space, **config.target_options)

    pool = target("train")
    datasets = [pool]
    source = None
    notes = []
    for split in ("val", "test"):
        try:
            datasets.append(target(split))
        except DatasetError as error:
            notes.append(f"no {split} split of {pool.name}: {error}")
    if "source" in settings or "target" not in settings:
        space = pool.label_space
        source = open_dataset(config.source, "train", space, **config.source_options)
        datasets.insert(0, source)

    summaries = []
    for dataset in datasets:
        total = min(len(dataset), limit or len(dataset))
        with tqdm(total=total, desc=f"{dataset.name} {dataset.split}", leave=False) as bar:

            def advance(done: int, _: int, bar: tqdm[NoReturn] = bar) -> None:
                bar.update(done - bar.n)

            summaries.append(describe(dataset, limit or None, progress=advance))
    if not {"source", "target"} & settings.keys():
        print("No data is named, so these are the embedded scenes.\n")
    print(f"classes: {pool.label_space.name}\n")
    print(format_table(summaries))
    for note in notes:
        print(f"\n{note}")
    taught = summaries[0]
    void = source is not None and taught.labelled_images > 0 and not taught.class_pixels.any()
    if void:
        words = nothing_to_learn(f"source {taught.name}", taught.labelled_images, taught.count)
        print(f"\n{words}")
    return 1 if void or any(summary.problems for summary in summaries) else 0

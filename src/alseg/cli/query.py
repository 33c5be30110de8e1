"""``alseg query``: ask people about images with a network that was trained elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alseg.cli.parser import CommandParser
from alseg.config.commands import resume_command
from alseg.config.run import RunConfig, config_from, create_strategy
from alseg.config.run_files import CONFIG, LABELS
from alseg.config.settings import names_of
from alseg.data.image_files import find_images
from alseg.distributed import interruption
from alseg.errors import AnswersNeeded, ConfigError

if TYPE_CHECKING:
    from alseg.data import SegmentationDataset
    from alseg.labels import LabelStore
    from alseg.training.module import SegmentationModule

ABOUT = """Choose regions of images by the network of a checkpoint, and write them to the folder RUN
as queries for people. Given the same RUN again, it takes in the answers first and asks the next
round; the budget is that of all rounds together."""


def run(argv: Sequence[str]) -> int:
    """Write the queries of a round.

    Raises:
        AlsegError: The checkpoint, the images or the folder cannot be used.
    """
    parser = CommandParser("query", "CKPT IMAGES [IMAGES ...] -o RUN", ABOUT, names_of("query"))
    parser.add("checkpoint", metavar="CKPT", help="checkpoint of a run")
    parser.add("images", nargs="+", metavar="IMAGES", help="image files, or folders of them")
    parser.add("-o", "--out", required=True, metavar="RUN", help="folder to write to")
    parser.add(
        "--partial",
        action="store_true",
        help="take in the round before although people have not answered all of it",
    )
    parser.add(
        "--previous",
        metavar="CKPT",
        help="checkpoint that the round before was asked by, for a strategy that compares with it",
    )
    parser.add(
        "--device", default="auto", help="torch device, such as cpu or cuda:1 (default: auto)"
    )
    settings, arguments = parser.parse(argv)
    out = Path(arguments["out"])
    interruption.say("Stopped. Nothing was asked; run the same command again to continue.")
    if (out / CONFIG).is_file():
        raise ConfigError(
            f"{out} is the folder of a training run, which asks its own queries. Go on with it by "
            f"`{resume_command(out)}`, or name another folder with -o."
        )
    config = config_from({**settings, "annotator": "manual"})
    images = find_images(arguments["images"], out)

    # The training stack takes seconds to import; a misspelt path is answered before that.
    from alseg.data.file_dataset import FileDataset
    from alseg.data.files import Pair
    from alseg.data.mapping import LabelMapping
    from alseg.labels.region_shape import region_of
    from alseg.queries.next_step import how_to_answer
    from alseg.runs.checkpoint import load_trained

    module, trained = load_trained(arguments["checkpoint"], arguments["device"])
    previous = _previous(arguments["previous"], arguments["device"], module, config)
    pairs = [Pair(name, path) for name, path in images.items()]
    pool = FileDataset(
        "images",
        "train",
        pairs,
        LabelMapping.identity(module.label_space),
        scale=trained,
        all_images=functools.partial(list, [*images.values()]),
        channels=None if module.in_channels == 3 else module.in_channels,
    )
    if pool.values is not None:
        print(f"Values: {pool.values.said(trained is not None)}.")
    with _store(out, pool) as store:
        try:
            left = _ask(store, out, pool, module, previous, config, arguments["partial"])
        except AnswersNeeded as needed:
            print(how_to_answer(out, str(needed)))
            return 0
    asked = f"{store.regions:,} regions were asked for in {store.rounds} rounds"
    if left:
        print(f"The pool is exhausted: {asked}. {region_of(config).advice}")
    else:
        print(f"The budget is spent: {asked}. Give a larger --budget to ask for more.")
    return 0


def _previous(
    path: str | None, device: str, module: SegmentationModule, config: RunConfig
) -> SegmentationModule | None:
    """Return the network of the round before, if the strategy compares with it.

    Raises:
        ConfigError: It is missing, not needed, has other classes or takes other images.
        WeightsError: There is no such file, or it is no checkpoint of alseg.
    """
    from alseg.active.signals import PREVIOUS
    from alseg.data.value_range import counted
    from alseg.runs.checkpoint import load_module

    needed = PREVIOUS in create_strategy(config).requires
    if path is None and not needed:
        return None
    if path is None:
        raise ConfigError(
            f"The strategy {config.strategy} compares CKPT with the network of the round before: "
            "name the checkpoint of that one with --previous, in the first round the one that "
            "training started from."
        )
    if not needed:
        raise ConfigError(
            f"The strategy {config.strategy} does not look at the network of the round before. "
            "Leave --previous out."
        )
    previous = load_module(path, device)
    if previous.classes != module.classes:
        raise ConfigError(
            f"{path} has the classes {', '.join(previous.classes)}, CKPT "
            f"{', '.join(module.classes)}. Name two checkpoints of the same classes."
        )
    if previous.in_channels != module.in_channels:
        raise ConfigError(
            f"{path} takes images of {counted(previous.in_channels)}, CKPT of "
            f"{counted(module.in_channels)}. Name two checkpoints of the same channels."
        )
    sizes = [
        "their own size" if size is None else f"{size[0]}×{size[1]} pixels"
        for size in (previous.eval_size, module.eval_size)
    ]
    if sizes[0] != sizes[1]:
        raise ConfigError(
            f"{path} looks at images at {sizes[0]}, CKPT at {sizes[1]}. Name two checkpoints of "
            "the same evaluation size."
        )
    return previous


@contextmanager
def _store(out: Path, pool: SegmentationDataset) -> Iterator[LabelStore]:
    """Open or begin the label store of a folder, and keep other processes away from it."""
    from alseg.active.requirements import pool_images
    from alseg.labels import LabelStore
    from alseg.storage.folder_lock import lock_folder
    from alseg.storage.links import refuse_links_out

    refuse_links_out(out)
    folder = out / LABELS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made: {error.strerror or error}. Name another folder with -o."
        ) from error
    lock = lock_folder(folder)
    try:
        images, classes = pool_images(pool), pool.label_space.classes
        if LabelStore.exists(folder):
            store = LabelStore.open(folder)
            store.check_pool(images, classes)
        else:
            store = LabelStore.create(folder, images, classes)
        yield store
    finally:
        lock.release()


def _ask(
    store: LabelStore,
    out: Path,
    pool: SegmentationDataset,
    module: SegmentationModule,
    previous: SegmentationModule | None,
    config: RunConfig,
    partial: bool,
) -> int:
    """Write the queries of the next round; return what was due and is not in the pool."""
    from alseg.active.fitting import SignalStream, fit_strategy
    from alseg.active.people import People
    from alseg.active.request import RoundRequest, options_of
    from alseg.active.requirements import check_calls, check_level, check_signals
    from alseg.active.round import Round, take_answers
    from alseg.active.scores import score_pool
    from alseg.active.signals import PREVIOUS, SignalSource
    from alseg.config.budget import Budget, check_affordable
    from alseg.data.evaluation import pool_loader
    from alseg.data.transforms import eval_transform
    from alseg.labels.region_shape import check_counted, region_of
    from alseg.queries.next_step import taken_in
    from alseg.training.modes import evaluating

    strategy = create_strategy(config)
    region = region_of(config).for_strategy(strategy)
    check_level(strategy, config.strategy, region)
    check_calls(strategy, config.strategy)
    check_signals(strategy, config.strategy, module, () if previous is None else {PREVIOUS})
    budget, images = Budget.parse(config.budget), store.images
    check_counted(budget, region)
    regions = [region.largest_cost((image.height, image.width)) for image in images]
    check_affordable(budget, regions, sum(image.area for image in images))
    people = People(out, config.mixed, partial)
    taken = take_answers(store, people)
    if taken is not None:
        print(taken_in(out, taken))
    number = store.rounds + 1
    request = RoundRequest(
        number=number,
        rounds=number,
        budget=budget,
        region=region,
        scope=config.scope,
        seed=config.seed,
        strategy=config.strategy,
        strategy_options=options_of(strategy),
    )
    loader = pool_loader(
        pool, functools.partial(eval_transform, size=module.eval_size), workers=config.workers
    )
    title = "scoring the images" if config.progress else None
    source = SignalSource(module, previous=None if previous is None else previous.signals)
    stream = SignalStream(source, lambda: loader, pool, strategy.requires)
    # The images that the network was trained on are not at hand.
    with evaluating(module):
        fit_strategy(strategy, request, store, (), stream)
    scored = score_pool(source, loader, pool, strategy, request, title)
    this = Round(request, store, people, {"annotator": people.name})
    return this.hold(scored, pool, commit_empty=False).result.shortfall

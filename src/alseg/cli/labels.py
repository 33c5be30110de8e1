"""``alseg labels``: check the labels of a run, and hand them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alseg.cli.parser import CommandParser
from alseg.errors import AlsegError, ConfigError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from alseg.active import LabelStore

USAGE = """usage: alseg labels verify RUN
       alseg labels export RUN -o DIR [--round N] [--partial]

Check the labels that a run asked for, or hand them on.

  verify   check every file, every count and every round against the earlier ones
  export   write the labels as ordinary PNGs, for another trainer or to look at

RUN is the folder of a run, or of its labels. `alseg labels verify --help` says more."""

ABOUT_VERIFY = """Check the labels of a run: that every file is as it was written, that every count
is right, and that no round changes an earlier one or asks for a pixel twice. Nothing is written.
The exit status is 0 if all is sound, 1 if something is wrong and 2 if there are no labels."""

ABOUT_EXPORT = """Write the labels of a run as DIR/NAME.png: 8 bits that hold the class number, or
255 for void and for pixels that nobody asked for, shown in the colours of the classes where the
run's data tell them. DIR/classes.yaml has the names in the order of the numbers. An image that was
never asked for gets no file. In a folder of `alseg query` the answers of the newest round are taken
in first, which closes the round."""

LISTED = 20

RUN = "folder of a run, or of its labels"


def run(argv: Sequence[str]) -> int:
    """Do what the first argument says.

    Raises:
        AlsegError: There is no label store, or it cannot be used.
    """
    actions = {"verify": _verify, "export": _export}
    action, rest = (argv[0], argv[1:]) if argv else ("", [])
    if action in ("-h", "--help"):
        print(USAGE)
        return 0
    if action not in actions:
        got = f"unknown action {action!r}.{did_you_mean(action, actions)}" if action else "do what?"
        raise ConfigError(f"{got} Name one of {', '.join(actions)}; --help describes them.")
    return actions[action](rest)


def _verify(argv: Sequence[str]) -> int:
    parser = CommandParser("labels verify", "RUN", ABOUT_VERIFY)
    parser.add("run", metavar="RUN", help=RUN)
    arguments = parser.parse(argv).arguments

    # What is imported from here on is not needed to answer a misspelt option.
    from alseg.active import verify
    from alseg.active.committed import restore_or_ask_again, round_name

    with _bar("checking") as advance:
        found = verify(_store_folder(arguments["run"]), progress=advance)
    for problem in found.problems[:LISTED]:
        print(problem)
    if len(found.problems) > LISTED:
        print(f"... and {len(found.problems) - LISTED:,} more")
    for path in found.unfinished:
        print(f"{path} is a round in progress, or was left by a run that was stopped; not checked")
    count = len(found.problems)
    verdict = "sound" if not count else "1 problem" if count == 1 else f"{count:,} problems"
    print(
        f"{verdict}: {found.rounds} rounds, {found.images:,} images, {found.regions:,} regions, "
        f"{found.pixels:,} pixels checked in {found.folder}"
    )
    if found.damaged_from is not None:
        first = found.folder / round_name(found.damaged_from)
        print(restore_or_ask_again(first))
    return 1 if found.problems else 0


def _export(argv: Sequence[str]) -> int:
    parser = CommandParser("labels export", "RUN -o DIR [--round N] [--partial]", ABOUT_EXPORT)
    parser.add("run", metavar="RUN", help=RUN)
    parser.add("-o", "--out", required=True, metavar="DIR", help="folder to write to")
    parser.add(
        "--round",
        type=int | None,
        default=None,
        metavar="N",
        help="write the labels known after round N (default: the newest)",
    )
    parser.add(
        "--partial",
        action="store_true",
        help="write the labels although people have not answered all queries of the newest round",
    )
    arguments = parser.parse(argv).arguments

    from alseg.active import LabelStore, export_labels

    store = LabelStore.open(_store_folder(arguments["run"]))
    if arguments["round"] is None or arguments["round"] > store.rounds:
        _take_in(store, arguments["partial"])
    palette = _palette(store)
    with _bar("writing") as advance:
        done = export_labels(store, arguments["out"], arguments["round"], palette, advance)
    print(
        f"{done.images:,} images after round {done.round_number}: {done.pixels:,} pixels with a "
        f"class, {done.void:,} void"
    )
    if done.left_out:
        print(f"images that were never asked for and have no file: {done.left_out:,}")
    if palette is None:
        print("shown in grey: the run's data, which tell the colours of the classes, are not here")
    numbers = ", ".join(f"{number} {name}" for number, name in enumerate(store.classes))
    print(f"labels    {done.folder} ({numbers}, 255 void or not asked for)")
    return 0


def _take_in(store: LabelStore, partial: bool) -> None:
    """Take in the answers to `alseg query`; the round of a training is taken in as it goes on."""
    from alseg.active.asked_files import asked_rounds

    run = store.folder.parent
    if (run / "config.yaml").is_file() or store.rounds >= max(asked_rounds(run), default=0):
        return

    from alseg.active.people import People
    from alseg.active.round import take_answers
    from alseg.annotate.next_step import taken_in
    from alseg.folder_lock import lock_folder

    lock = lock_folder(store.folder)
    try:
        taken = take_answers(store, People(run, partial=partial))
    finally:
        lock.release()
    if taken is not None:
        print(taken_in(run, taken))


def _store_folder(path: str) -> Path:
    """Return the folder of the label store that a person means.

    Raises:
        FolderLeadsOut: A link in the folder leads out of it.
    """
    from alseg.active import LabelStore
    from alseg.links import refuse_links_out

    refuse_links_out(Path(path))
    return Path(path) if LabelStore.exists(path) else Path(path) / "labels"


def _palette(store: LabelStore) -> NDArray[np.uint8] | None:
    """Return the colours of the classes; None where the data of the run are not at hand."""
    from alseg.active.asked_files import asked_rounds, open_round
    from alseg.cli.parser import checked_config
    from alseg.data import LabelSpace, open_dataset

    asked = asked_rounds(store.folder.parent)
    if asked:
        colors = open_round(store.folder.parent, asked[-1]).colors
        return LabelSpace("asked", store.classes, colors).palette

    settings = store.folder.parent / "config.yaml"
    try:
        config = checked_config(CommandParser("labels", "", "").read(settings))
        pool = open_dataset(config.target, "train", config.label_space, **config.target_options)
    except AlsegError:
        return None
    return pool.label_space.palette if pool.label_space.classes == store.classes else None


@contextmanager
def _bar(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many images are done, on a terminal only."""
    from tqdm import tqdm

    with tqdm(desc=words, unit="image", leave=False, disable=None) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance

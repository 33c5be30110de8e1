"""``alseg labels``: check the labels of a run, and hand them on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alseg.cli.parser import CommandParser
from alseg.config.run_files import CONFIG, LABELS, round_name
from alseg.errors import AlsegError, ConfigError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from alseg.labels import LabelStore

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
never asked for gets no file. In a folder of `alseg query` the answers to the newest round are among
them. RUN stays as it is: the round is open for answers until `alseg query` takes it in."""

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
    from alseg.labels import verify
    from alseg.labels.committed import restore_or_ask_again

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

    from alseg.labels import LabelStore, export_labels

    kept = LabelStore.open(_store_folder(arguments["run"]))
    palette = _palette(kept)
    wants_newest = arguments["round"] is None or arguments["round"] > kept.rounds
    with ExitStack() as stack:
        store = kept
        if wants_newest and _has_open_round(kept):
            store = stack.enter_context(_with_answers(kept, arguments["partial"]))
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


def _has_open_round(store: LabelStore) -> bool:
    """Return whether `alseg query` asked a round; that of a training is taken in as it resumes."""
    from alseg.queries.asked_files import asked_rounds

    run = store.folder.parent
    return not (run / CONFIG).is_file() and store.rounds < max(asked_rounds(run), default=0)


@contextmanager
def _with_answers(store: LabelStore, partial: bool) -> Iterator[LabelStore]:
    """Yield a copy of a store that has taken in the answers to the open round.

    Raises:
        AlsegError: Queries are not answered, or the answers cannot be read.
        ConfigError: There is no room for the copy.
    """
    from alseg.active.people import People
    from alseg.active.round import take_answers
    from alseg.labels import LabelStore
    from alseg.queries.next_step import still_open

    run = store.folder.parent
    with tempfile.TemporaryDirectory(prefix="alseg-") as folder:
        try:
            copy = LabelStore.open(shutil.copytree(store.folder, Path(folder) / LABELS))
        except (OSError, shutil.Error) as error:
            raise ConfigError(
                f"{store.folder} cannot be copied to {folder}: {error}. Free some space, or name "
                "another folder for temporary files by TMPDIR."
            ) from error
        taken = take_answers(copy, People(run, partial=partial))
        if taken is not None:
            print(still_open(run, taken))
        yield copy


def _store_folder(path: str) -> Path:
    """Return the folder of the label store that a person means.

    Raises:
        FolderLeadsOut: A link in the folder leads out of it.
    """
    from alseg.labels import LabelStore
    from alseg.storage.links import refuse_links_out

    refuse_links_out(Path(path))
    return Path(path) if LabelStore.exists(path) else Path(path) / LABELS


def _palette(store: LabelStore) -> NDArray[np.uint8] | None:
    """Return the colours of the classes; None where the data of the run are not at hand."""
    from alseg.cli.parser import checked_config
    from alseg.data import LabelSpace, open_dataset
    from alseg.queries.asked_files import asked_rounds, open_round

    asked = asked_rounds(store.folder.parent)
    if asked:
        colors = open_round(store.folder.parent, asked[-1]).colors
        return LabelSpace("asked", store.classes, colors).palette

    settings = store.folder.parent / CONFIG
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

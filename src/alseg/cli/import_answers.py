"""``alseg import``: take the answers from a file of a labelling tool."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from alseg.annotate.exchange.formats import FORMATS
from alseg.cli.parser import CommandParser

ABOUT = """Take the answers to the queries of the newest round from what a labelling tool exported:
its XML or JSON file, or the ZIP archive with it, or a folder of masks. All of the file is checked
before anything is written, and taking the same file twice changes nothing. A box that still has the
label `query` is no answer; answers that were given before stay."""


def run(argv: Sequence[str]) -> int:
    """Take the answers.

    Raises:
        AlsegError: The file cannot be used, or the round takes no answers.
    """
    parser = CommandParser("import", "RUN FILE [--format NAME] [--as PERSON]", ABOUT)
    parser.add("run", metavar="RUN", help="folder of a run")
    parser.add("file", metavar="FILE", help="file that the tool exported, or a folder of masks")
    parser.add(
        "--format",
        type=str | None,
        default=None,
        metavar="NAME",
        help=f"{', '.join(FORMATS)} (default: what the file tells)",
    )
    parser.add(
        "--as",
        default="import",
        metavar="PERSON",
        help="in whose name; answers of `review` count more than anybody's (default: import)",
    )
    arguments = parser.parse(argv).arguments

    from alseg.annotate.exchange import import_answers
    from alseg.queries.asked_files import TABLE

    done = import_answers(arguments["run"], arguments["file"], arguments["format"], arguments["as"])
    count = sum(done.new.values())
    what = "image" if done.is_painted else "window"
    words = ", ".join(f"{number:,} {word}" for word, number in sorted(done.new.items()))
    print(f"round {done.round_number}: {count:,} new answers{f' ({words})' if words else ''}")
    if not count + done.known + done.unanswered + done.idle:
        print(f"no {what} of the round is in the file; export what people submitted in the tool")
    if done.known:
        print(f"answers that change nothing: {done.known:,}")
    if done.unanswered:
        print(f"{what}s in the file without an answer: {done.unanswered:,}")
        if done.is_painted:
            print(
                "an image that shows none of the classes is answered by `void`, in the column "
                f"`answer` of {TABLE} or as the label of a shape; a mask of 255 alone is no "
                "answer"
            )
    if done.void is not None:
        print(f"void in the new masks: {done.void:.1%} of their pixels, charged and never learnt")
    if done.idle:
        print(f"answers to parts of windows that are not mixed, left out: {done.idle:,}")
    if done.disputed:
        quoted = shlex.quote(arguments["run"])
        how = f"alseg annotate {quoted} --review"
        if done.is_painted:
            how = f"alseg import {quoted} FILE --as review"
        print(
            f"queries that as many people answered one way as another: {done.disputed:,}; settle "
            f"them with `{how}`"
        )
    print(f"queries still without an answer: {done.missing:,}")
    if done.split:
        print(
            f"{done.split:,} of these are mixed; `alseg export` now writes their parts, to be "
            "answered too"
        )
    if count:
        print(f"answers   {done.path}")
    return 0

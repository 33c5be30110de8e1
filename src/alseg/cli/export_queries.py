"""``alseg export``: write the queries of a run for a labelling tool."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from alseg.annotate.exchange.formats import FORMATS
from alseg.cli.parser import CommandParser

ABOUT = """Write the queries of the newest round, with the answers so far, as files that a
labelling tool reads. Every window that is asked about is a box with the label `query`; whoever
answers changes the label to a class, or to `mixed` (several classes), `void` (none of them) or
`skip` (cannot tell). `alseg import` takes the answers back."""


def run(argv: Sequence[str]) -> int:
    """Write the files.

    Raises:
        AlsegError: There are no queries, or they cannot be written.
    """
    parser = CommandParser("export", "RUN --format NAME -o OUT [--no-images | --link]", ABOUT)
    parser.add("run", metavar="RUN", help="folder of a run")
    formats = "; ".join(f"{name}: {about}" for name, about in FORMATS.items())
    parser.add("--format", required=True, metavar="NAME", help=formats)
    parser.add("-o", "--out", required=True, metavar="OUT", help="folder to write to")
    parser.add(
        "--no-images",
        action="store_true",
        help="leave the images out; otherwise OUT/images has copies of them",
    )
    parser.add(
        "--link",
        action="store_true",
        help="make OUT/images hard links to the originals, which take no space; only for a tool "
        "that changes no image, as that would change the data set",
    )
    arguments = parser.parse(argv).arguments

    from alseg.annotate.exchange import export_queries
    from alseg.annotate.exchange.outgoing import IMAGES
    from alseg.annotate.rounds import is_closed

    done = export_queries(
        arguments["run"],
        arguments["out"],
        arguments["format"],
        images=not arguments["no_images"],
        link=arguments["link"],
    )
    what = f"{done.windows:,} windows in {done.images:,} images"
    if done.is_painted:
        what = f"{done.images:,} images"
    print(f"round {done.round_number}: {what}, {done.answered:,} of them answered")
    for name in done.files:
        print(f"wrote     {done.folder / name}")
    if not arguments["no_images"]:
        print(f"images    {done.folder / IMAGES}")
    if done.converted:
        print(f"as PNG    {done.converted:,} of them, since a browser does not show their files")
    if is_closed(Path(arguments["run"]), done.round_number):
        print("closed    the labels of this round are written; no answer changes them any more")
    else:
        quoted = shlex.quote(arguments["run"])
        step = "answer in the tool"
        if done.is_painted:
            step = "label the images in the tool"
            if arguments["format"] in ("cvat", "label-studio"):
                step += " and export them there as COCO"
        print(f"next      {step}, then `alseg import {quoted} FILE`")
    return 0

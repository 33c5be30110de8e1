"""``alseg annotate``: answer the queries of a round in a browser."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from alseg.cli.parser import CommandParser
from alseg.errors import ConfigError

if TYPE_CHECKING:
    from alseg.annotate import LabellingServer, Table
    from alseg.queries.asked import AskedRound

ABOUT = """Open a page in the browser on which people answer the queries of a run's newest round,
with one key each. Every answer is on disk before the next query is shown: the page may be closed
and the command stopped (Ctrl-C) at any time, and both resume where they were."""

USAGE = "RUN [--annotators 3 | anna,ben] [--overlap 0.1] [--review] [--report] ..."

DISAGREEMENTS = 20

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


def run(argv: Sequence[str]) -> int:
    """Serve the page until it is stopped.

    Raises:
        AlsegError: There is nothing to answer, or something cannot be used.
    """
    parser = CommandParser("annotate", USAGE, ABOUT)
    parser.add("run", metavar="RUN", help="folder of a run that waits for answers")
    parser.add(
        "--annotators",
        type=str | None,
        default=None,
        metavar="N|NAMES",
        help="how many people answer, or their names, such as anna,ben; each gets a share of the "
        "queries (default: those of before, or one)",
    )
    parser.add(
        "--overlap",
        type=float | None,
        default=None,
        metavar="PART",
        help="part of the queries that everybody is asked, from 0 to 1 (default: that of before, "
        "or 0)",
    )
    parser.add("--review", action="store_true", help="open the review, where answers are corrected")
    parser.add("--report", action="store_true", help="print how far people agree, and end")
    parser.add(
        "--port",
        type=int | None,
        default=None,
        metavar="N",
        help="port to listen at (default: 8765, or any other if that is in use)",
    )
    parser.add("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add("--no-browser", action="store_true", help="open no browser, only print the address")
    arguments = parser.parse(argv).arguments

    from alseg.annotate.rounds import is_closed, open_newest

    run_folder = Path(arguments["run"])
    asked = open_newest(run_folder)
    if arguments["report"]:
        return _report(asked)
    if asked.region.is_painted:
        run = shlex.quote(str(run_folder))
        raise ConfigError(
            f"Round {asked.number} of {run_folder} asks for whole images, which this page cannot "
            f"label. Label them in another tool: `alseg export {run} --format cvat -o FOLDER`, "
            f"then `alseg import {run} FILE`."
        )
    if is_closed(run_folder, asked.number):
        print(
            f"Round {asked.number} of {run_folder} is closed: its labels are written. "
            "There is nothing to answer until the run asks again."
        )
        return 0
    return _serve(run_folder, asked, arguments)


def _serve(run_folder: Path, asked: AskedRound, arguments: dict[str, Any]) -> int:
    from alseg.annotate import LabellingServer, Table, next_command, open_shares
    from alseg.annotate.guard import kept_token
    from alseg.annotate.rounds import is_closed
    from alseg.queries.answers_folder import lock_answers

    folder = asked.answers
    try:
        # The server lets nothing be written any more before the lock goes.
        with _Signals() as signals, lock_answers(asked):
            shares = open_shares(asked, arguments["annotators"], arguments["overlap"])
            table = Table(asked, shares, lambda: is_closed(run_folder, asked.number))
            next_step = next_command(run_folder)
            with LabellingServer(
                table,
                kept_token(folder),
                host=arguments["host"],
                port=arguments["port"],
                next_step=next_step,
                when_done=lambda: _tell_done(table, next_step),
            ) as server:
                _welcome(server, arguments)
                with _browser(server, folder, arguments):
                    signals.action = server.interrupt
                    server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        print(f"\nStopped; every answer is kept in {folder}.")
    return 0


class _Signals:
    """Those that ask the process to end: the first ends the command, the second one kills.

    So nobody is kept waiting by a disk that is gone, and the lock is held as long as the process
    lives.

    Attributes:
        action: What the first one does.
    """

    def __init__(self) -> None:
        self.action: Callable[[], None] = _interrupt
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (getattr(signal, name) for name in ENDING if hasattr(signal, name)):
            # What is ignored, as below nohup or in the background of a script, stays so.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: object) -> None:
        for name in self._before:
            signal.signal(name, signal.SIG_DFL)
        self.action()


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _browser(server: LabellingServer, folder: Path, arguments: dict[str, Any]) -> Iterator[None]:
    """Open the page in the browser, where there is one, inside the block."""
    from alseg.annotate.opening import open_in_browser, redirection
    from alseg.errors import LabelStoreError

    with ExitStack() as stack:
        if not arguments["no_browser"] and _has_screen():
            try:
                page = stack.enter_context(redirection(folder, _address(server, arguments)))
                open_in_browser(page)
            except LabelStoreError as error:
                print(error, file=sys.stderr)
        yield


def _address(server: LabellingServer, arguments: dict[str, Any]) -> str:
    return server.url("/review" if arguments["review"] else "/")


def _welcome(server: LabellingServer, arguments: dict[str, Any]) -> None:
    from alseg.annotate.guard import is_local

    table = server.table
    names = table.shares.people
    print(f"Round {table.asked.number}: {len(table.asked.queries):,} queries")
    if len(names) > 1:
        for name in names:
            desk = table.desks[name]
            print(f"  {name}: {desk.done:,} of {desk.total:,} answered")
    print(f"{'Review' if arguments['review'] else 'Answer'} at {_address(server, arguments)}")
    print("Ctrl-C stops; every answer is kept.", flush=True)
    if not table.open_queries():
        _tell_done(table, server.next_step)
    if not is_local(arguments["host"]):
        print(
            "Whoever reaches this machine can read the images, and answer once they have the "
            "address; nothing is encrypted.",
            file=sys.stderr,
        )


def _tell_done(table: Table, next_step: str) -> None:
    settled = table.settle()
    if settled.missing:
        count = len(settled.missing)
        have = "1 mixed query has" if count == 1 else f"{count:,} mixed queries have"
        print(f"{have} parts without an answer; the page asks them, and --review lists them.")
        return
    print("All queries are answered.")
    if settled.disputed:
        print(f"People disagree on {len(settled.disputed):,}; settle them with --review.")
    print(f"Go on with: {next_step}", flush=True)


def _report(asked: AskedRound) -> int:
    from alseg.annotate import measure_agreement
    from alseg.annotate.agreement import differing_share, disagreements
    from alseg.annotate.shares import read_shares
    from alseg.annotate.table import in_words
    from alseg.queries.answers import REVIEW, latest

    said = latest(asked)
    corrected = said.pop(REVIEW, {})
    shares = read_shares(asked)
    for name, answers in said.items():
        mine = shares.queries.get(name, ()) if shares is not None else ()
        of = f" of {len(mine):,}" if mine else ""
        print(f"{name}: {len(answers.keys() & set(mine or answers)):,}{of} answered")
    if corrected:
        print(f"corrected in the review: {len(corrected):,}")
    agreement = measure_agreement(shares, said)
    if len(agreement.people) < 2:
        print("Agreement needs two people or more with an --overlap.")
    else:
        print(agreement.in_words())
    found = disagreements(asked, said)
    print(f"different answers: {len(found):,}")
    for name, votes in list(found.items())[:DISAGREEMENTS]:
        query = asked.find(name)
        answers_in_words = ", ".join(
            f"{who} {in_words(asked, vote)}" for who, vote in votes.items()
        )
        place = f"row {query.row} column {query.column}"
        if asked.region.is_painted:
            place = f"{differing_share(asked, query, votes):.1%} of the pixels differ"
        print(f"  {name}  {query.image} {place}: {answers_in_words}")
    if len(found) > DISAGREEMENTS:
        hint = "" if asked.region.is_painted else "; --review lists them"
        print(f"  ... and {len(found) - DISAGREEMENTS:,} more{hint}")
    return 0


def _has_screen() -> bool:
    """Whether a browser would open a window; one that runs in the terminal would take it over."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

"""The command ``alseg``: it finds the subcommand and says in plain words what went wrong.

It imports next to nothing, so that ``alseg --help`` is there at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module

from alseg.distributed import interruption
from alseg.distributed.interruption import interruptible
from alseg.errors import AlsegError
from alseg.runs.terminal import plain_output, shown

COMMANDS = {
    "fit": ("alseg.cli.fit", "train, asking for the labels that help most"),
    "query": ("alseg.cli.query", "choose regions by a checkpoint for people to label"),
    "annotate": ("alseg.cli.annotate", "answer a round's queries in the browser"),
    "export": ("alseg.cli.export_queries", "write what people are asked for a labelling tool"),
    "import": ("alseg.cli.import_answers", "take the answers from a labelling tool"),
    "labels": ("alseg.cli.labels", "check the labels of a run, or write them as ordinary PNGs"),
    "sweep": ("alseg.cli.sweep", "run strategies, budgets and seeds as one table"),
    "compare": ("alseg.cli.compare", "hold runs against one another, in a table and a report"),
    "dashboard": ("alseg.cli.dashboard", "compare the runs of a project on Weights & Biases"),
    "evaluate": ("alseg.cli.evaluate", "measure a checkpoint on labelled images"),
    "predict": ("alseg.cli.predict", "segment images with a checkpoint"),
    "strategies": ("alseg.cli.strategies", "list what labels can be asked for by"),
    "check-data": ("alseg.cli.check_data", "count images, labels and classes before training"),
}

OF_OTHERS = ("fit", "dashboard")
"""Commands in which other libraries write to the terminal, colours and all."""

INTERRUPTIBLE = ("fit", "query", "evaluate", "predict")
"""The commands that end alike by Ctrl-C and SIGTERM; the others have handlers of their own."""

USAGE = "usage: alseg COMMAND ..."

BEFORE_TORCH = {
    # How long a thread of PyTorch waits for another before it sleeps. By default it keeps its core
    # for some milliseconds, and a run beside another program that computes takes twice its time.
    "GOMP_SPINCOUNT": "1000",
    # Where a process of a run is gone, the warnings of the others' sockets bury what we say of it.
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # A checkpoint from elsewhere runs no code, also where a release of Lightning would let it.
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
}
"""What PyTorch reads when it is imported, unless it is set already."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit status: 0 is done and all is well, 1 is done in part, or something was found to be
        wrong, or a defect of alseg, 2 is refused with a message on stderr, 130 is interrupted.
    """
    try:
        status = _answer(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _answer(arguments: list[str]) -> int:
    debug = "--debug" in arguments or os.environ.get("ALSEG_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command in ("", "-h", "--help"):
        print(_help(), file=sys.stdout if command else sys.stderr)
        return 0 if command else 2
    if command == "--version":
        print(f"alseg {_version()}")
        return 0
    if command not in COMMANDS:
        print(_unknown(command), file=sys.stderr)
        return 2
    for name, value in BEFORE_TORCH.items():
        os.environ.setdefault(name, value)
    words = f"alseg {command}: interrupted"
    stops = interruptible(words) if command in INTERRUPTIBLE else nullcontext()
    with nullcontext() if command in OF_OTHERS else plain_output(), _log_on_stderr(), stops:
        return _run(command, rest, debug)


def _run(command: str, arguments: Sequence[str], debug: bool) -> int:
    try:
        return int(import_module(COMMANDS[command][0]).run(arguments))
    except KeyboardInterrupt:
        print(shown(interruption.sentence() or f"alseg {command}: interrupted"), file=sys.stderr)
        return interruption.STATUS
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:
        raise
    except Exception as error:
        killed = _killed(error)
        for_the_user = killed is not None or _is_for_the_user(error)
        if debug or not for_the_user:
            logging.getLogger("alseg").exception("alseg %s failed", command)
        else:
            print(shown(f"alseg {command}: {killed or _words(error)}"), file=sys.stderr)
        return 2 if for_the_user else 1


def _is_for_the_user(error: Exception) -> bool:
    if isinstance(error, AlsegError):
        return True
    return type(error).__module__.split(".")[0] == "alseg_strategies"


def _killed(error: Exception) -> str | None:
    """Return what to do if a process that loads images was killed; None elsewhere."""
    if not isinstance(error, RuntimeError):
        return None
    # Where it may have happened, this is imported already.
    from alseg.data.workers import killed_in_words

    return killed_in_words(error)


def _words(error: Exception) -> str:
    """Return an error's message, without the traceback that a loading process puts before it."""
    text = str(error)
    if "Original Traceback" not in text:
        return text
    return text.strip().splitlines()[-1].partition(": ")[2]


def _help() -> str:
    lines = [USAGE, "", "Spend a labelling budget where it helps a segmentation network most.", ""]
    lines += [f"  {name:12} {about}" for name, (_, about) in COMMANDS.items()]
    lines += [
        "",
        "  alseg COMMAND --help   the arguments of a command",
        "  alseg --version        the version",
        "  --debug                show where an error comes from (also ALSEG_DEBUG=1)",
        "",
        "Try `alseg fit`: it runs on scenes that come with alseg.",
    ]
    return "\n".join(lines)


def _unknown(command: str) -> str:
    from alseg.errors import did_you_mean

    hint = did_you_mean(command, COMMANDS)
    return f"alseg: unknown command {command!r}.{hint}\nCommands: {', '.join(COMMANDS)}"


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("alseg")
    except metadata.PackageNotFoundError:
        return "(not installed)"


class _Shown(logging.Formatter):
    """Writes messages as a terminal may be given them."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    log = logging.getLogger("alseg")
    handler = logging.StreamHandler()
    handler.setFormatter(_Shown("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


if __name__ == "__main__":
    sys.exit(main())

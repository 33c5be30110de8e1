"""``alseg sweep``: the runs of a matrix."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alseg.cli.fit import checked_strategy
from alseg.cli.parser import CommandParser, checked_config
from alseg.config import RunConfig
from alseg.errors import ConfigError
from alseg.settings import all_settings
from alseg.sweep.matrix import DECIDED, Matrix, read_matrix
from alseg.sweep.plan import Check, plan_runs

ABOUT = """Run strategies, budgets, seeds and protocols as one table: each line and seed is a run of
`alseg fit` in a folder of its own, and all runs of a seed share the start on the source. What is
finished is not run again, what was stopped goes on: give the same command once more."""


def run(argv: Sequence[str]) -> int:
    """Run what a matrix file says, or show it.

    Raises:
        AlsegError: The matrix is refused; nothing was started.
    """
    given = [entry.name for entry in all_settings() if entry.name not in (*DECIDED, "devices")]
    parser = CommandParser("sweep", "MATRIX [--SETTING VALUE ...]", ABOUT, given)
    parser.add("matrix", metavar="MATRIX", help="YAML file of the runs, such as matrix.yaml")
    parser.add("--out", help="folder of all the runs (default: runs/ and the matrix's name)")
    parser.add("--dry-run", action="store_true", help="print the commands, and run nothing")
    settings, arguments = parser.parse(argv)
    matrix = read_matrix(arguments["matrix"])
    out = Path(arguments["out"] or _usual_folder(matrix))
    runs = plan_runs(matrix, _shared(parser, matrix, settings), out, _checker())
    if arguments["dry_run"]:
        for one in runs:
            print(shlex.join(["alseg", "fit", *one.arguments]))
    return 0


def _usual_folder(matrix: Matrix) -> Path:
    path = matrix.path.resolve()
    return Path("runs") / f"{path.parent.name}-{path.stem}"


def _shared(parser: CommandParser, matrix: Matrix, given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of all runs: of the base, of the matrix, then of the command line."""
    decided = [name for name in given if name in DECIDED]
    if decided:
        raise ConfigError(f"{decided[0]} is for the matrix to say: change it in {matrix.path}.")
    base = {} if matrix.base is None else parser.read(matrix.base)
    # A base may be the file of a run: what it asks for is left for the lines to say.
    kept = {name: value for name, value in base.items() if name not in DECIDED}
    return {**kept, **matrix.settings, **given}


def _checker() -> Check:
    """Return what reads the arguments of a run as ``alseg fit`` does."""
    parser = CommandParser("fit", "", "", [entry.name for entry in all_settings()])

    def check(arguments: Sequence[str]) -> RunConfig:
        return checked_strategy(checked_config(parser.parse(arguments).settings))

    return check

"""``alseg sweep``: the runs of a matrix."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from alseg.cli.fit import with_data
from alseg.cli.parser import CommandParser, checked_config
from alseg.config.run import RunConfig, checked_strategy
from alseg.config.run_files import STARTS, check_writable_name
from alseg.config.settings import all_settings
from alseg.errors import ConfigError
from alseg.storage.folder_lock import lock_folder
from alseg.sweep.export import SWEEP_FILE, slurm_script, wandb_sweep
from alseg.sweep.matrix import DECIDED, Matrix, read_matrix
from alseg.sweep.plan import CHECKPOINT, Check, Run, plan_runs, to_arguments
from alseg.sweep.report import Report, Stage
from alseg.sweep.runner import Job, run_jobs
from alseg.sweep.runs import check_data, chosen_runs

_log = logging.getLogger("alseg")

PROGRAM = (sys.executable, "-m", "alseg.cli.main")
"""How ``alseg`` is started: the one that runs, whatever is first on the path."""

LOGS = "logs"
"""The folder, in that of the matrix, of what the runs say."""

ABOUT = """Run strategies, budgets, seeds and protocols as one table: each variant and seed is a run
of `alseg fit` in a folder of its own, and all runs of a seed share the start on the source. What is
finished is not run again, what was stopped goes on: give the same command once more."""


def run(argv: Sequence[str]) -> int:
    """Run what a matrix file says, or show it.

    Raises:
        AlsegError: The matrix is refused; nothing was started.
    """
    given = [entry.name for entry in all_settings() if entry.name not in (*DECIDED, "devices")]
    parser = CommandParser(
        "sweep", "MATRIX [--SETTING VALUE ...]", ABOUT, given, example="matrix.yaml --dry-run"
    )
    parser.add("matrix", metavar="MATRIX", help="YAML file of the runs, such as matrix.yaml")
    parser.add("--out", help="folder of all the runs (default: runs/ and the matrix's name)")
    parser.add("--jobs", type=int, help="runs at a time (default: one, or one a device)")
    parser.add("--devices", help="GPUs to hand out, by number, such as 0,1; a run gets one")
    parser.add(
        "--only",
        action="append",
        default=[],
        metavar="NAMES",
        help="run these alone, such as 'ripu-*', and the starts they lack; may be given again for "
        "more. Several such commands may run at once in one folder, each with runs that no other "
        "has, once the starts are there (--only 'starts/*')",
    )
    parser.add("--dry-run", action="store_true", help="print the commands, and run nothing")
    parser.add("--slurm", action="store_true", help="print a job script for SLURM, and run nothing")
    parser.add(
        "--wandb-sweep",
        metavar="FILE",
        help="write a sweep file for Weights & Biases, and run nothing",
    )
    _check_not_decided(argv)
    settings, arguments = parser.parse(argv)
    if arguments["slurm"] and arguments["dry_run"]:
        raise ConfigError("--slurm and --dry-run both print what they are about: leave out one.")
    places = _places(arguments["jobs"], arguments["devices"])
    matrix = read_matrix(arguments["matrix"])
    out = Path(arguments["out"] or _usual_folder(matrix))
    check_writable_name(out)
    below = _below(parser, matrix, settings, out)
    shared = parser.parse(argv, below).settings
    runs = plan_runs(matrix, shared, out, checker())
    runs, stages = chosen_runs(runs, arguments["only"], parser.read)
    todo = [one for one in runs if stages[one.name] is not Stage.FINISHED]
    exported = arguments["slurm"] or arguments["wandb_sweep"] is not None
    if exported and not todo:
        _log.info("All runs are finished: there is nothing to submit, and nothing was written.")
    elif exported:
        if arguments["wandb_sweep"] is not None:
            if "devices" in settings:
                raise ConfigError(
                    "devices comes from a file of settings, and a sweep file has no place for it. "
                    f"Give it under settings in {matrix.path}."
                )
            more = to_arguments({name: shared[name] for name in settings})
            _write(Path(arguments["wandb_sweep"]), wandb_sweep(todo, matrix.path, out, more))
        if arguments["slurm"]:
            print(slurm_script(todo, str(matrix.path), out, Path.cwd()), end="")
    if arguments["dry_run"]:
        for one in runs:
            print(shlex.join(_command(one, stages)) if one in todo else f"# finished: {one.folder}")
    if exported or arguments["dry_run"]:
        return 0
    check_data(todo)
    with nullcontext() if arguments["only"] else _claimed(out):
        return _run_all(runs, todo, stages, places, out)


def _check_not_decided(argv: Sequence[str]) -> None:
    """Check that no option is given that is one of a single run.

    Raises:
        ConfigError: One is; the message says where it is given instead.
    """
    for token in argv:
        flag = token.partition("=")[0].partition(".")[0]
        name = flag.removeprefix("--").replace("-", "_")
        if flag.startswith("--") and flag != "--out" and name in DECIDED:
            raise _for_the_matrix(flag, name)


def _for_the_matrix(given: str, name: str) -> ConfigError:
    return ConfigError(f"{given} is for the matrix to say: {DECIDED[name]}.")


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Keep a second command for all the runs out of the folder."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Cannot make {out}: {error.strerror or error}. Name another folder with --out."
        ) from error
    lock = lock_folder(out)
    try:
        yield
    finally:
        lock.release()


def _write(path: Path, text: str) -> None:
    try:
        if path.is_file() and SWEEP_FILE not in path.read_text(encoding="utf-8", errors="replace"):
            raise ConfigError(
                f"--wandb-sweep: {path} is there and is no sweep file of alseg's, which would "
                "replace it. Name another file."
            )
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write {path}: {error.strerror or error}.") from error
    # Not among what is printed, which may be a job script.
    _log.info("wrote %s; next: wandb sweep %s", path, shlex.quote(str(path)))


def _command(one: Run, stages: Mapping[str, Stage]) -> list[str]:
    """Return what begins a run, or goes on with it."""
    if stages[one.name] is Stage.BEGUN:
        return ["alseg", "fit", "--resume", str(one.folder), *one.of_the_machine]
    return ["alseg", "fit", *one.arguments]


def _run_all(
    runs: Sequence[Run],
    todo: list[Run],
    stages: Mapping[str, Stage],
    places: Sequence[Mapping[str, str]],
    out: Path,
) -> int:
    jobs = [
        Job(
            one.name,
            (*PROGRAM, *_command(one, stages)[1:]),
            out / LOGS / f"{one.name.replace('/', '-')}.log",
            one.start.name if one.start in todo else None,
        )
        for one in todo
    ]
    report = Report(len(runs), len(runs) - len(todo), {one.name: one.folder for one in runs})
    try:
        run_jobs(jobs, places, report.started, report.ended)
    except KeyboardInterrupt:
        print("Stopped. Give the same command to go on: no run is lost.", flush=True)
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(
            f"Cannot write {error.filename or out}: {error.strerror or error}. The runs were "
            "stopped; make room or allow writing there, then give the same command to go on."
        ) from error
    return report.close(out)


def _places(jobs: int | None, devices: str | None) -> list[dict[str, str]]:
    """Return what is set in the environment of a run, for each of those that run at a time."""
    given = [] if devices is None else [part.strip() for part in devices.split(",")]
    if not all(re.fullmatch("[0-9]+", part) for part in given):
        raise ConfigError(f"--devices: expected whole numbers such as 0,1, got {devices!r}.")
    count = max(1, len(given)) if jobs is None else jobs
    if count < 1:
        raise ConfigError(f"--jobs is {count}; it must be 1 or more.")
    # With -m Python would look for modules where the command is given (from 3.11 on it heeds this).
    places = [{"PYTHONSAFEPATH": "1"} for _ in range(count)]
    for number, place in enumerate(places):
        if given:
            place["CUDA_VISIBLE_DEVICES"] = given[number % len(given)]
        if count > 1 and "OMP_NUM_THREADS" not in os.environ:
            # Otherwise each takes all cores, and they wait for one another.
            place["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
    return places


def _usual_folder(matrix: Matrix) -> Path:
    path = matrix.path.resolve()
    return Path("runs") / f"{path.parent.name}-{path.stem}"


def _below(
    parser: CommandParser, matrix: Matrix, given: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """Return the settings of all runs below those of the command line: the base, then the matrix.

    Raises:
        ConfigError: The command line gives one that is for the matrix to say, or the base is wrong.
    """
    decided = [name for name in given if name in DECIDED]
    if decided:
        raise _for_the_matrix(decided[0], decided[0])
    try:
        base = {} if matrix.base is None else parser.read(matrix.base)
    except ConfigError as error:
        raise ConfigError(f"{matrix.path}: base: {error}") from error
    start = base.get("init_from")
    if start is not None and Path(start).match(str(Path(STARTS, "*", CHECKPOINT))):
        raise ConfigError(
            f"{matrix.path}: base: {matrix.base} is of a run of another matrix and begins with its "
            f"start {start}, which is that of one seed. Leave init_from out of it: a start for "
            "each seed is then made here."
        )
    # A base may be the file of a run: what it asks for is left for the variants to say, and so is
    # the head, which in such a file is that of its strategy; its experiment is another.
    left = {*DECIDED, "head", "experiment", "progress"} if "strategy" in base else DECIDED
    kept = {name: value for name, value in base.items() if name not in left}
    # What the runs say goes to their logs, where a progress bar is no use.
    usual = {"progress": False, "experiment": out.resolve().name}
    return usual | kept | dict(matrix.settings)


def checker() -> Check:
    """Return what reads the arguments of a run as ``alseg fit`` does."""
    parser = CommandParser("fit", "", "", [entry.name for entry in all_settings()])

    def check(arguments: Sequence[str]) -> RunConfig:
        return checked_strategy(checked_config(with_data(parser, parser.parse(arguments).settings)))

    return check

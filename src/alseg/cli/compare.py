"""``alseg compare``: hold runs against one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from alseg.cli.parser import CommandParser
from alseg.config.labelling_cost import CLICK_SECONDS
from alseg.errors import CompareError, ConfigError

ABOUT = """Hold runs against one another: mIoU for every strategy and budget over the seeds, and
how sure the differences to random picks are. RUNS are folders of runs, folders that have such in
them, or archives. The table is printed and written as REPORT.csv and REPORT.md beside the report, a
page that needs no network; REPORT-runs.csv has a row for every run. --archive writes what was read
of the runs into one file, to be compared in their place."""

BEGINNING = 1000
"""So many characters at the beginning of a file tell who wrote it."""

OWN = re.compile(r"\A# \d+ runs? compared\n|\Avariant,budget,seeds?,miou|<title>\d+ runs? compared")
"""Stands at the beginning of every file that a comparison writes."""


def run(argv: Sequence[str]) -> int:
    """Compare the runs; the exit status is 1 if some of them had no figures to compare.

    Raises:
        AlsegError: There are no runs, or the report cannot be written.
    """
    parser = CommandParser(
        "compare", "RUNS ... [-o report.html]", ABOUT, example="runs -o report.html"
    )
    parser.add("runs", nargs="+", metavar="RUNS", help="folders of or with runs, archives of runs")
    parser.add(
        "-o", "--out", default="report.html", metavar="FILE", help="the report (report.html)"
    )
    parser.add(
        "--baseline",
        metavar="NAME",
        help="variant or protocol to hold the others against, such as source_only (random)",
    )
    parser.add(
        "--click-seconds",
        type=float,
        default=CLICK_SECONDS,
        metavar="X",
        help="seconds per click of a person, where no person was timed "
        f"(default: {CLICK_SECONDS:g})",
    )
    parser.add("--archive", metavar="FILE.zip", help="also write what was read of the runs")
    arguments = parser.parse(argv).arguments
    out = Path(arguments["out"])
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"--out is {out}; the report is a page, so its name has to end in .html. The table is "
            "written beside it as .csv and .md."
        )
    archive = arguments["archive"]
    if archive is not None and Path(archive).suffix.lower() != ".zip":
        raise ConfigError(f"--archive is {archive}; its name has to end in .zip.")
    if not arguments["click_seconds"] > 0:
        raise ConfigError(f"--click-seconds is {arguments['click_seconds']:g}; it must be above 0.")

    from alseg.compare.archive import archive_of
    from alseg.compare.comparison import compare_runs
    from alseg.compare.evidence import Evidence
    from alseg.compare.report.page import report_page
    from alseg.compare.runs import find_runs
    from alseg.compare.texts import csv_text, markdown_text, runs_csv, terminal_text

    runs = find_runs(arguments["runs"])
    comparison = compare_runs(runs, arguments["baseline"])
    evidence = Evidence(comparison)
    texts = {
        out: report_page(comparison, evidence, arguments["click_seconds"]),
        out.with_suffix(".csv"): csv_text(comparison),
        out.with_name(f"{out.stem}-runs.csv"): runs_csv(comparison),
        out.with_suffix(".md"): markdown_text(comparison, evidence),
    }
    files = {path: text.encode() for path, text in texts.items()}
    if archive is not None:
        files[Path(archive)] = archive_of([run.folder for run in runs])
    for path in files:
        if not _may_replace(path):
            raise CompareError(
                f"{path} is there and was not written by a comparison, which would replace it. "
                "Move it, or name another file: the tables are named like the report of --out."
            )
    for path, content in files.items():
        _write(path, content)
    print(terminal_text(comparison, evidence))
    print()
    for path in files:
        print(f"wrote     {path}")
    return 1 if comparison.left_out else 0


def _may_replace(path: Path) -> bool:
    """Tell whether nothing but a file of an earlier comparison lies at ``path``."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            begins = file.read(BEGINNING)
    except OSError:
        return True  # Not there, or writing it says what is wrong.
    from alseg.compare.archive import is_archive

    return not begins or OWN.search(begins) is not None or is_archive(path)


def _write(path: Path, content: bytes) -> None:
    from alseg.storage.durable import replace_durably

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, content)
    except OSError as error:
        raise CompareError(
            f"Cannot write {path}: {error.strerror or error}. Free some space, allow writing there "
            "or name another file with --out."
        ) from error

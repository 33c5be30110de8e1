"""``alseg compare``: hold runs against one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from alseg.cli.parser import CommandParser
from alseg.config.labelling_cost import CLICK_SECONDS
from alseg.errors import CompareError, ConfigError

ABOUT = """Hold runs against one another: mIoU for every strategy and budget over the seeds, and
how sure the differences to random picks are. RUNS are folders of runs, or folders that have such in
them. The table is printed and written as REPORT.csv and REPORT.md beside the report, a page that
needs no network; REPORT-runs.csv has a row for every run."""

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
    parser.add("runs", nargs="+", metavar="RUNS", help="folders of runs, or folders with runs")
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
    arguments = parser.parse(argv).arguments
    out = Path(arguments["out"])
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"--out is {out}; the report is a page, so its name has to end in .html. The table is "
            "written beside it as .csv and .md."
        )
    if not arguments["click_seconds"] > 0:
        raise ConfigError(f"--click-seconds is {arguments['click_seconds']:g}; it must be above 0.")

    from alseg.compare.comparison import compare_runs
    from alseg.compare.evidence import Evidence
    from alseg.compare.report.page import report_page
    from alseg.compare.runs import find_runs
    from alseg.compare.texts import csv_text, markdown_text, runs_csv, terminal_text

    comparison = compare_runs(find_runs(arguments["runs"]), arguments["baseline"])
    evidence = Evidence(comparison)
    files = {
        out: report_page(comparison, evidence, arguments["click_seconds"]),
        out.with_suffix(".csv"): csv_text(comparison),
        out.with_name(f"{out.stem}-runs.csv"): runs_csv(comparison),
        out.with_suffix(".md"): markdown_text(comparison, evidence),
    }
    for path in files:
        if not _may_replace(path):
            raise CompareError(
                f"{path} is there and was not written by a comparison, which would replace it. "
                "Move it, or name another report with --out: its tables are named like it."
            )
    for path, text in files.items():
        _write(path, text)
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
    return not begins or OWN.search(begins) is not None


def _write(path: Path, text: str) -> None:
    from alseg.storage.durable import replace_durably

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, text.encode())
    except OSError as error:
        raise CompareError(
            f"Cannot write {path}: {error.strerror or error}. Free some space, allow writing there "
            "or name another file with --out."
        ) from error

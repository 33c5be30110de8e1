"""The CSV of the queries with a column for the answer, also as a spreadsheet has saved it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from alseg.annotate.exchange.collector import Collector
from alseg.annotate.exchange.outgoing import Outgoing
from alseg.annotate.exchange.source import Source
from alseg.annotate.exchange.stamp import STAMP
from alseg.annotate.exchange.words import QUERY, Words
from alseg.errors import ExchangeError
from alseg.queries.asked import Query
from alseg.queries.asked_files import COLUMNS, TABLE
from alseg.storage.spreadsheet import from_cell, to_cell

ANSWER = "answer"
PLACE = ("row", "column", "top", "left", "bottom", "right")

_MONTHS = "jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
_RECAST = re.compile(
    r"\s*(?:[=+@'-].*|(?=.*\d)[\d\s.,:;/()%$€£+e-]*"
    rf"(?:(?:{_MONTHS})[a-z]{{0,6}}[\d\s.,:/-]*|[ap]m)?)",
    re.IGNORECASE | re.DOTALL,
)
"""Texts that a spreadsheet may save as something else: numbers, dates, times and formulas."""
_TRUTHS = {"true", "false"}


def write_table(folder: Path, outgoing: Outgoing) -> None:
    """Write ``queries.csv`` into a folder."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, STAMP, ANSWER])
    for image in outgoing.asked.images:
        for window, word in outgoing.windows(image):
            row = [*asdict(window).values(), str(outgoing.stamp), "" if word == QUERY else word]
            writer.writerow(map(to_cell, row))
    (folder / TABLE).write_text(buffer.getvalue(), encoding="utf-8")


def read_table(source: Source, collector: Collector) -> None:
    """Read a CSV; the name of its query says what a line answers.

    Raises:
        ExchangeError: It cannot be used, or answers what was not asked.
    """
    for number, row in _rows(source):
        where = f"{source.path}, line {number}"
        if not row["query"].strip():
            raise ExchangeError(f"{where}: the column 'query' is empty. Fill it or drop the line.")
        name = row["query"].strip()
        _check_place(collector.find(name, where), row, collector.asked.images, where)
        collector.note(row.get(STAMP), where)
        collector.add(name, _label(row[ANSWER], collector.words) or QUERY, where)


def _label(cell: str, words: Words) -> str:
    """Return the label that a cell means, also after a spreadsheet took it for a number."""
    label = from_cell(cell.strip())
    if label in words.all:
        return label
    meant = [word for word in words.all if _is_same_number(label, word) or _is_truth(label, word)]
    return meant[0] if len(meant) == 1 else label


def _check_place(query: Query, row: Mapping[str, str], images: Collection[str], where: str) -> None:
    """Check that a line was written for this round: another one has queries of the same names."""
    wrong = [
        column
        for column in PLACE
        if column in row and not _is_same_number(row[column], str(getattr(query, column)))
    ]
    if not _is_same_name(row.get("image", query.image), query.image, images):
        wrong.insert(0, "image")
    if wrong:
        raise ExchangeError(
            f"{where}: {query.id} has the {wrong[0]} {row[wrong[0]]!r:.200}; the run's own is "
            f"{str(getattr(query, wrong[0]))!r:.200}. Is this the table of another run, or was one "
            "column sorted without the others? Export again, and change the answers alone."
        )


def _is_same_name(cell: str, name: str, names: Collection[str]) -> bool:
    """Whether a cell may have held the name of an image, and not of another, as it was written."""
    if from_cell(cell).split() == name.split() or _is_truth(cell, name):
        return True
    numbers = _number(cell), _number(name)
    if None not in numbers:
        return _is_same_number(cell, name)
    return _RECAST.fullmatch(name) is not None and from_cell(cell) not in names


def _is_same_number(cell: str, text: str) -> bool:
    shown, exact = _number(cell), _number(text)
    if shown is None or exact is None:
        return False
    # A spreadsheet keeps 15 digits, and shows six where it shows a power of ten.
    digits = 1e-5 if "e" in cell.lower() else 1e-14
    return abs(shown - exact) <= digits * abs(exact)


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", ".").replace("_", " "))
    except ValueError:
        return None


def _is_truth(cell: str, text: str) -> bool:
    return text.lower() in _TRUTHS and cell.strip().lower() == text.lower()


def _rows(source: Source) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines of a CSV as a spreadsheet may have written it, with their numbers."""
    try:
        text = source.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExchangeError(
            f"{source.path}: byte {error.start} is not UTF-8. Save it as CSV in UTF-8."
        ) from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
        if header.count("query") != 1 or header.count(ANSWER) != 1:
            raise ExchangeError(
                f"{source.path}: the first line names the columns {', '.join(header)!r:.200}; one "
                f"'query' and one '{ANSWER}' are needed. Keep the first line as it was exported."
            )
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if len(row) != len(header):
                raise ExchangeError(
                    f"{source.path}, line {reader.line_num}: {len(row)} values for {len(header)} "
                    "columns. Mend the line, or save the table as CSV again."
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ExchangeError(
            f"{source.path}, line {reader.line_num}: {error}. Save the table as CSV again."
        ) from error

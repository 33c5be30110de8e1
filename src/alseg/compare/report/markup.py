"""The pieces that sections of the report are made of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

WORST, BEST = (255, 255, 255), (70, 140, 200)
DARK_FROM = 0.75
"""Cells as full as this have their figure in white, so that it can be read."""

DIGEST = re.compile(r"\b[0-9a-f]{40,}\b…?")

COMMAND = re.compile("`([^`]+)`")

LONG = 40
"""Cells of more characters may go over several lines."""


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a section with its heading."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(caption: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain text; its first row and column are headings.

    Digests are shortened; who points at such a cell is shown the whole.
    """
    heading, *body = rows
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heading)
    lines = [f"<tr>{cells}</tr>"]
    for first, *rest in body:
        cells = "".join(map(_cell, rest))
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return _scrolling(caption, lines)


def heat_table(
    caption: str,
    heading: Sequence[str],
    rows: Sequence[tuple[str, Sequence[float]]],
    highest: float = 1.0,
) -> str:
    """Return a table of shares in per cent whose cells are the fuller the higher they are.

    Args:
        caption: What it shows.
        heading: The names of the columns, that of the rows' names among them.
        rows: The name of each row, and a share for each further column; NaN is a dash.
        highest: The share that a cell is full at.
    """
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heading)
    lines = [f"<tr>{cells}</tr>"]
    for name, values in rows:
        shown = "".join(_heat_cell(value, highest) for value in values)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{shown}</tr>')
    return _scrolling(caption, lines, "heat")


def bullet_list(lines: Sequence[str], kind: str = "") -> str:
    """Return a list of text with commands in backticks; digests are shortened as in a table."""
    entries = "".join(f"<li{_whole(line)}>{_with_commands(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{entries}</ul>'


def _with_commands(line: str) -> str:
    return COMMAND.sub(r"<code>\1</code>", escape(_shortened(line)))


def _cell(text: str) -> str:
    kind = ' class="long"' if len(text) > LONG else ""
    return f"<td{kind}{_whole(text)}>{escape(_shortened(text))}</td>"


def _shortened(text: str) -> str:
    return DIGEST.sub(lambda found: f"{found[0][:12]}…", text)


def _whole(text: str) -> str:
    """Return the attribute that shows a text whose digests are shortened."""
    return f' title="{escape(text)}"' if DIGEST.search(text) else ""


def _heat_cell(value: float, highest: float) -> str:
    if math.isnan(value):
        return "<td>—</td>"
    full = min(max(value / highest, 0.0), 1.0) if highest > 0 else 0.0
    mixed = (round(w + full * (b - w)) for w, b in zip(WORST, BEST, strict=True))
    colour = "#fff" if full >= DARK_FROM else "#111"
    back = "".join(f"{channel:02x}" for channel in mixed)
    return f'<td style="background:#{back};color:{colour}">{100 * value:.1f}</td>'


def _scrolling(caption: str, lines: Sequence[str], kind: str = "") -> str:
    """Return a table that scrolls by itself where the page is narrow, by keyboard too."""
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="{kind}"><caption>{escape(caption)}</caption>'
        f"<thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table></div>"
    )

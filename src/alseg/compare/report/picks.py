"""What every strategy saw and picked in the same images."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from pathlib import Path

from alseg.compare.comparison import Comparison
from alseg.compare.evidence import Evidence, RoundEvidence
from alseg.compare.report.classes import NO_ROUNDS
from alseg.compare.report.markup import paragraph, section

IMAGES = 3
"""Images to show, as long as there is room."""

ROOM = 1_900_000
"""Characters that pictures may take, so that the page stays below 3 MB."""

PANELS = {
    "image": "image",
    "score": "score (bright is asked first)",
    "picks": "picks (yellow now, blue before)",
    "errors": "errors before the round (red)",
}


def picks_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with small pictures, in the first and the last round of every variant."""
    chosen = _chosen(comparison, evidence)
    names = list(dict.fromkeys(name for _, part in chosen for name, _ in part.images))
    shared = [name for name in names if all(name in dict(part.images) for _, part in chosen)]
    parts, used, shown = [], 0, 0
    for name in shared[:IMAGES]:
        text = _image_table(name, chosen)
        if used + len(text) > ROOM:
            break
        parts.append(text)
        used += len(text)
        shown += 1
    if not names:
        parts = [paragraph(NO_ROUNDS)]
    elif not shared:
        parts = [paragraph("No image was pictured in all runs: their pools are not the same.")]
    elif shown < len(shared):
        parts.append(
            paragraph(
                f"Shown are {shown} of the {len(shared)} images that all runs pictured; the others "
                f"lie in the folder pictures of every run."
            )
        )
    lead = paragraph(
        "The same pool images in every run: of each variant the run with its lowest seed at the "
        "largest budget, in its first and its last round."
    )
    return section("picks", "What each strategy picked", lead, *parts)


def _chosen(comparison: Comparison, evidence: Evidence) -> list[tuple[str, RoundEvidence]]:
    """Return by name the rounds to show."""
    found = []
    for variant in comparison.variants:
        point = [p for p in comparison.points if p.variant == variant][-1]
        told = [rounds for run in point.runs if (rounds := evidence.rounds(run))]
        if not told:
            continue
        seed = next(run.seed for run in point.runs if evidence.rounds(run))
        for part in dict.fromkeys((0, len(told[0]) - 1)):
            number = told[0][part].number
            name = f"{variant}, {point.budget}, seed {seed}, round {number}"
            found.append((name, told[0][part]))
    return found


def _image_table(name: str, chosen: list[tuple[str, RoundEvidence]]) -> str:
    heading = "".join(f'<th scope="col">{escape(words)}</th>' for words in PANELS.values())
    rows = []
    for words, part in chosen:
        paths = dict(part.images)[name]
        cells = "".join(
            f"<td>{_picture(paths.get(kind), f'{kind} of {name}: {words}')}</td>" for kind in PANELS
        )
        row_name = f'<tr><th scope="rowgroup" colspan="{len(PANELS)}">{escape(words)}</th></tr>'
        rows.append(f"{row_name}<tr>{cells}</tr>")
    return (
        f'<h3>{escape(name)}</h3><div class="table" role="region" tabindex="0" '
        f'aria-label="{escape(name)}"><table class="pictures"><thead><tr>{heading}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _picture(path: Path | None, words: str) -> str:
    """Return a picture in the page; a dash where the run has none."""
    if path is None or not path.is_file():
        return "—"
    data = b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'

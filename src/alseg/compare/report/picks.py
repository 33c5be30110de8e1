"""What every strategy saw and picked in the same images."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from html import escape

from PIL import Image

from alseg.compare.archive import Place
from alseg.compare.comparison import Comparison
from alseg.compare.evidence import Evidence, Round
from alseg.compare.report.classes import NO_ROUNDS
from alseg.compare.report.markup import paragraph, section
from alseg.compare.report.shown import shown_points

IMAGES = 3
"""Images to show, as long as there is room."""

ROOM = 1_900_000
"""Characters that pictures may take, so that the page stays below 3 MB."""

SMALL = 120
"""Width of pictures in pixels where there is no room for larger ones."""

PANELS = {
    "score": "score (bright is asked first)",
    "picks": "picks (yellow now, blue before)",
    "errors": "errors before the round (red)",
}


@dataclass(frozen=True)
class _Shown:
    """A variant, with the first and the last round of one of its runs; just one if it is both."""

    name: str
    rounds: tuple[Round, ...]

    def has(self, image: str) -> bool:
        return all(image in dict(part.images) for part in self.rounds)

    def last_only(self) -> _Shown:
        return _Shown(self.name, self.rounds[-1:])


def picks_section(comparison: Comparison, evidence: Evidence) -> str:
    """Return the section with small pictures, in the first and the last round of every variant.

    Where there is no room for that, it shows the last rounds alone, then smaller pictures, and then
    fewer images.
    """
    shown = _shown(comparison, evidence)
    names = list(dict.fromkeys(n for one in shown for part in one.rounds for n, _ in part.images))
    shared = [name for name in names if all(one.has(name) for one in shown)]
    lasts = [one.last_only() for one in shown]
    parts: list[str] = []
    for rows, width in ((shown, None), (lasts, None), (lasts, SMALL)):
        parts = [_image_table(name, rows, width) for name in shared[:IMAGES]]
        if sum(map(len, parts)) <= ROOM:
            break
    while len(parts) > 1 and sum(map(len, parts)) > ROOM:
        parts.pop()
    if not names:
        parts = [paragraph(NO_ROUNDS)]
    elif not shared:
        parts = [
            paragraph(
                "No image was pictured for all variants: their pools differ, or the numbers of "
                "their processes or pictures do."
            )
        ]
    elif not any("<img" in part for part in parts):
        parts = [paragraph("The pictures of the rounds are not with these records of the runs.")]
    elif len(parts) < len(shared):
        parts.append(
            paragraph(
                f"Shown are {len(parts)} of the {len(shared)} images that were pictured for all "
                "variants; the others lie in the folder pictures of every run."
            )
        )
    lead = paragraph(
        "The same pool images in every run: of each variant the run with its lowest seed, in its "
        "first and its last round, or the last alone where there is no room for both."
    )
    return section("picks", "What each strategy picked", lead, *parts)


def _shown(comparison: Comparison, evidence: Evidence) -> list[_Shown]:
    found = []
    for name, point in shown_points(comparison).items():
        told = [(run.seed, rounds) for run in point.runs if (rounds := evidence.rounds(run))]
        if told:
            seed, rounds = told[0]
            ends = (rounds[0], rounds[-1]) if len(rounds) > 1 else (rounds[0],)
            found.append(_Shown(f"{name}, seed {seed}", ends))
    return found


def _image_table(image: str, shown: list[_Shown], width: int | None) -> str:
    """Return the image and a row for every variant; its errors are shown in the last round only."""
    both = any(len(one.rounds) > 1 for one in shown)
    kinds = ["score", "picks"] if both else []
    columns = [(0, kind) for kind in kinds] + [(-1, kind) for kind in PANELS]
    when = {0: "first round: ", -1: "last round: " if both else ""}
    heading = "".join(f'<th scope="col">{escape(when[at] + PANELS[k])}</th>' for at, k in columns)
    rows = []
    for one in shown:
        cells = []
        for at, kind in columns:
            if at == 0 and len(one.rounds) < 2:
                cells.append("<td>—</td>")
                continue
            part = one.rounds[at]
            words = f"{kind} of {image}: {one.name}, round {part.number}"
            cells.append(f"<td>{_picture(dict(part.images)[image].get(kind), words, width)}</td>")
        numbers = " and ".join(str(part.number) for part in one.rounds)
        name = f"{one.name}, round{'s' if len(one.rounds) > 1 else ''} {numbers}"
        rows.append(
            f'<tr><th scope="rowgroup" colspan="{len(columns)}">{escape(name)}</th></tr>'
            f"<tr>{''.join(cells)}</tr>"
        )
    original = dict(shown[0].rounds[-1].images)[image].get("image")
    return (
        f"<h3>{escape(image)}</h3>{_picture(original, f'image of {image}', width)}"
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(image)}">'
        f'<table class="pictures"><thead><tr>{heading}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _picture(path: Place | None, words: str, width: int | None) -> str:
    """Return a picture in the page, shrunk to a width; a dash where the run has none."""
    if path is None:
        return "—"
    try:
        content = path.read_bytes() if width is None else _shrunk(path, width)
    except OSError:
        return "—"
    data = b64encode(content).decode()
    return f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'


def _shrunk(path: Place, width: int) -> bytes:
    with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG", "JPEG"]) as image:
        image.thumbnail((width, width))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="JPEG", quality=80, subsampling=0)
    return buffer.getvalue()

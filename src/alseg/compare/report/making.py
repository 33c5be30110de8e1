"""How every run was made, so that it can be made again."""

from __future__ import annotations

from alseg.compare.comparability import flattened, made_with
from alseg.compare.comparison import Comparison
from alseg.compare.report.markup import bullet_list, paragraph, section, table
from alseg.runs.run_provenance import OF_ONE_START

OWN = (
    *("settings.seed", "settings.budget", "settings.strategy", "settings.out"),
    *OF_ONE_START,
)
"""What every run has its own of; the first three stand in columns of their own."""


def making_section(comparison: Comparison) -> str:
    """Return the section with what all runs share, and what each has of its own."""
    groups = comparison.groups
    placed = [(point, run) for point in groups for run in point.runs]
    told = [{**flattened({"settings": dict(run.settings)}), **made_with(run)} for _, run in placed]
    names = [n for n in dict.fromkeys(name for made in told for name in made) if n not in OWN]
    unlike = [n for n in names if len({made.get(n) for made in told}) > 1]
    rows = [["run", "variant", "budget", "seed", "what differs from run to run"]]
    for (point, run), made in zip(placed, told, strict=True):
        own = "; ".join(
            f"{name.removeprefix('settings.')}={made[name]}" for name in unlike if name in made
        )
        rows.append([str(run.folder), point.variant, point.budget or "—", str(run.seed), own])
    shared = [f"{n.removeprefix('settings.')}: {told[0][n]}" for n in names if n not in unlike]
    parts = [
        table("Every run", rows),
        "<h3>The same in all runs</h3>",
        bullet_list(shared, "settings"),
    ]
    if not any(run.provenance.content for _, run in placed):
        parts.insert(
            0,
            paragraph("The runs did not write down versions, commit and digests of their data."),
        )
    return section("making", "How each run was made", *parts)

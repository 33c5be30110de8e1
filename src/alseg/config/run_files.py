"""The names of all files and folders of a run; ``alseg.runs.folder`` has their paths.

What a folder in it holds is named where it is written: ``labels/*`` in ``alseg.labels``, a round of
``queries`` in ``alseg.queries``.
"""

from __future__ import annotations

import re
from pathlib import Path

CONFIG = "config.yaml"
"""The settings of a run, all of them."""

SUMMARY = "summary.json"
"""The figures of a run."""

PROVENANCE = "provenance.json"
"""What a run was made with; there is an entry for the first start and each time it went on."""

LABELS = "labels"
"""The folder of the label store."""

QUERIES = "queries"
"""The folder of what people are asked, and of their answers."""

ANALYSIS = "analysis"
"""The folder of what the report wants to know of every round."""

PICTURES = "pictures"
"""The folder of the pictures of every round."""

METRICS = "metrics"
"""The folder of the figures that are logged as CSV."""

CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints."""

LAST = "last.ckpt"
"""The checkpoint that a run goes on from, and ends with."""

BEST = "best.ckpt"
"""The checkpoint that was best where validation chooses."""

SOURCE = "source.ckpt"
"""The checkpoint of the start on the source, once that has ended."""

SOURCE_LAST = "source-last.ckpt"
"""The checkpoint that a start on the source goes on from."""

LAST_CHECKPOINT = f"{CHECKPOINTS}/{LAST}"
"""The path of the last checkpoint in the folder of a run."""

STARTS = "starts"
"""The folder, in that of a matrix, of the starts on the source."""

ROUND = "round-"
"""What the name of a file or folder of a round begins with."""

_ROUND = re.compile(rf"{ROUND}(\d{{3,}})")


def round_name(number: int) -> str:
    """Return what the folder of a round is called, and its files without their endings."""
    return f"{ROUND}{number:03d}"


def round_numbers(folder: Path) -> list[int]:
    """Return the numbers of the rounds that have a folder in one, rising; some may lack."""
    if not folder.is_dir():
        return []
    matches = (_ROUND.fullmatch(path.name) for path in folder.iterdir())
    named = ((int(match[1]), match[0]) for match in matches if match)
    # A copy that somebody made, such as round-0003, is no round.
    return sorted(number for number, name in named if number and name == round_name(number))

"""The names of a run's folder and of all in it; ``alseg.runs.folder`` has their paths.

What a folder in it holds is named where it is written: ``labels/*`` in ``alseg.labels``, a round of
``queries`` in ``alseg.queries``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from alseg.config.run import RunConfig
from alseg.errors import ConfigError

CONFIG = "config.yaml"
"""The settings of a run, all of them."""

SUMMARY = "summary.json"
"""The figures of a run."""

PROVENANCE = "provenance.json"
"""What a run was made with; with an entry for the first start and each time it was resumed."""

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
"""The checkpoint that a run resumes from, and ends with."""

BEST = "best.ckpt"
"""The checkpoint that was best where validation chooses."""

SOURCE = "source.ckpt"
"""The checkpoint of the start on the source, once that has ended."""

SOURCE_LAST = "source-last.ckpt"
"""The checkpoint that a start on the source resumes from."""

LAST_CHECKPOINT = f"{CHECKPOINTS}/{LAST}"
"""The path of the last checkpoint in the folder of a run."""

STARTS = "starts"
"""The folder, in that of a matrix, of the starts on the source."""

ROUND = "round-"
"""What the name of a file or folder of a round begins with."""

_LONGEST_NAME = 24
"""Characters of a data set's name in that of a run; a folder's name has at most 255 bytes."""

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


def new_run_path(config: RunConfig, data: Sequence[str]) -> Path:
    """Return the folder of a run whose settings name none.

    Args:
        config: The settings of the run.
        data: The names of its data sets.
    """
    asking = config.strategy if config.protocol == "source_target" else config.protocol
    name = config.name or "-".join([*map(_in_a_path, data), asking])
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{name}-{stamp}"


def check_writable_name(path: Path) -> None:
    """Refuse a folder that Lightning takes for several URLs in a row, however it is written.

    Raises:
        ConfigError: ``::`` is part of its name, or of a folder above it.
    """
    for name in (path.absolute(), path.resolve()):
        if "::" in str(name):
            raise ConfigError(
                f"{name} contains '::', which Lightning reads as a URL of several parts. Name a "
                "folder without it."
            )


def _in_a_path(name: str) -> str:
    """Return a name without what a path or a shell takes for something else, and not too long."""
    return re.sub(r"[^\w.+-]+", "_", name)[:_LONGEST_NAME].strip("._") or "data"

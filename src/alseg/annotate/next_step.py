"""What to do about the queries of a round, and once they are answered."""

from __future__ import annotations

import shlex
from pathlib import Path


def how_to_answer(run: Path, asked: str) -> str:
    """Return the commands with which the queries of a run are answered and it goes on.

    Args:
        run: The folder of the run.
        asked: What was asked, in a sentence.
    """
    folder = shlex.quote(str(run))
    return "\n".join(
        [
            "",
            asked,
            "",
            "answer in the browser",
            f"  alseg annotate {folder}",
            "or in another tool",
            f"  alseg export {folder} --format cvat -o queries-cvat",
            f"  alseg import {folder} annotations.xml",
            "then go on",
            f"  {next_command(run)}",
        ]
    )


def next_command(run: Path) -> str:
    """Return the command that goes on with the answers of a run's newest round."""
    if (run / "config.yaml").is_file():
        return shlex.join(["alseg", "fit", "--resume", str(run)])
    return shlex.join(["alseg", "labels", "export", str(run), "-o", f"{run.name}-labels"])

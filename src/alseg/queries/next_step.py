"""What to do about the queries of a round, and once they are answered."""

from __future__ import annotations

import shlex
from pathlib import Path

from alseg.config.commands import resume_command
from alseg.config.run_files import CONFIG
from alseg.labels import RoundResult
from alseg.queries.asked_files import asked_rounds, open_round


def how_to_answer(run: Path, asked: str) -> str:
    """Return the commands with which the queries of a run are answered and the run is continued.

    Args:
        run: The folder of the run.
        asked: What was asked, in a sentence.
    """
    folder = shlex.quote(str(run))
    asked_now = open_round(run, asked_rounds(run)[-1])
    if asked_now.region.is_painted:
        return "\n".join(
            [
                "",
                asked,
                "",
                "label the images in a labelling tool",
                f"  alseg export {folder} --format cvat -o queries-cvat",
                f"  alseg import {folder} instances_default.json    (exported from it as COCO)",
                "or paint the PNGs of",
                f"  alseg export {folder} --format png -o queries-png",
                f"  alseg import {folder} queries-png/masks",
                "then continue",
                f"  {next_command(run)}",
            ]
        )
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
            "then continue",
            f"  {next_command(run)}",
        ]
    )


def taken_in(run: Path, taken: RoundResult) -> str:
    """Return what became of a round that was closed."""
    return f"Round {taken.number} is closed: {_answered(run, taken)}."


def still_open(run: Path, taken: RoundResult) -> str:
    """Return what the answers to a round come to that is not closed."""
    return f"Round {taken.number} stays open; so far {_answered(run, taken)}."


def _answered(run: Path, taken: RoundResult) -> str:
    round_asked = open_round(run, taken.number)
    asked, what = len(round_asked.queries), "regions"
    if round_asked.region.is_painted:
        what = "images"
    words = (
        f"{taken.regions:,} {what} with {taken.asked_pixels:,} pixels taken in, "
        f"{taken.void_pixels:,} of them void"
    )
    if asked > taken.regions:
        words += f"; {asked - taken.regions:,} queries were skipped or not answered"
    return words


def next_command(run: Path) -> str:
    """Return the command that takes in the answers of a run's newest round."""
    if (run / CONFIG).is_file():
        return resume_command(run)
    return shlex.join(["alseg", "labels", "export", str(run), "-o", f"{run.name}-labels"])

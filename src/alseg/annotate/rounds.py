"""Which round of a run is open for answers."""

from __future__ import annotations

from pathlib import Path

from alseg.config.run_files import LABELS, QUERIES, round_name
from alseg.errors import LabelStoreError
from alseg.queries.asked import AskedRound
from alseg.queries.asked_files import asked_rounds, open_round
from alseg.storage.links import refuse_links_out


def open_newest(run: Path) -> AskedRound:
    """Return the newest round of a run that people are asked.

    Raises:
        FolderLeadsOut: A link in the folder leads out of it.
        LabelStoreError: The run asks nobody, or the round is damaged.
    """
    refuse_links_out(run)
    numbers = asked_rounds(run)
    if not numbers:
        raise LabelStoreError(
            f"{run} has no queries for people: there is no {run / QUERIES / round_name(1)}. Name "
            "the folder of a run that waits for answers."
        )
    return open_round(run, numbers[-1])


def is_closed(run: Path, number: int) -> bool:
    """Whether the labels of a round are written, so that no answer changes them any more."""
    return (run / LABELS / round_name(number)).exists()

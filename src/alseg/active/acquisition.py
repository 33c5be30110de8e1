"""One round, of score maps: choose, ask, write; on one process or on many."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from alseg.active.annotators import Annotator
from alseg.active.candidates import Clipped
from alseg.active.choosing import Gather, alone, choose_regions
from alseg.active.labelling import label_regions
from alseg.config.budget import Budget
from alseg.labels.records import RoundResult
from alseg.labels.store import LabelStore


def acquire_round(
    scored: Iterable[tuple[int, Tensor]],
    store: LabelStore,
    *,
    budget: Budget,
    round_number: int,
    rounds: int,
    radius: int,
    annotator: Annotator,
    exclusion_radius: int | None = None,
    scope: str = "image",
    clipped: Clipped = "last",
    gather: Gather = alone,
) -> RoundResult:
    """Choose the regions of a round, have them labelled, and write them to the staged round.

    One process must have called ``store.stage(round_number)`` before any process calls this, and
    calls ``store.commit(round_number, settings, result.images)`` after all have returned.

    Args:
        scored: Pool index and score map H×W of the images of this process; over all processes
            every image of the pool comes once, in any order.
        store: The label store, which also tells what earlier rounds asked for.
        budget: What the whole run may ask for.
        round_number: This round, from 1.
        rounds: Rounds of the run.
        radius: Window radius k of a region: (2k+1)² pixels are asked for.
        annotator: Who answers.
        exclusion_radius: Window radius around a centre in which no further centre may lie, in this
            and later rounds; None takes 2k.
        scope: ``image``: every image is asked for the same share; ``pool``: the best regions of
            the pool, wherever they are.
        clipped: ``last``: windows that the border of the image clips are asked for once no whole
            one is left, of their image or, in the scope ``pool``, of the pool; ``any``: by their
            scores, as published.
        gather: Returns what each process passes to it, as a list in the order of the processes;
            called as often on every process.

    Raises:
        ConfigError: The scope or ``clipped`` is unknown, or the exclusion would let a region be
            asked for twice.
        LabelStoreError: A score map does not fit its image, images lack or come twice, or the
            store cannot be read or written.
    """
    choice = choose_regions(
        scored,
        store,
        budget=budget,
        round_number=round_number,
        rounds=rounds,
        radius=radius,
        exclusion_radius=exclusion_radius,
        scope=scope,
        clipped=clipped,
        gather=gather,
    )
    records = label_regions(
        choice.regions,
        store,
        round_number=round_number,
        radius=radius,
        annotator=annotator,
        gather=gather,
    )
    left = choice.left if choice.left > budget.region_cost(radius) / 2 else 0
    return RoundResult.of(round_number, records, round(left), budget.unit)

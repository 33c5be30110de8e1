"""The second half of a round: have the chosen regions labelled, and write the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from alseg.active.annotators import Annotator
from alseg.active.candidates import Candidates
from alseg.active.choosing import Gather, alone
from alseg.data.label_space import IGNORE
from alseg.errors import LabelStoreError
from alseg.labels.queries import Queries, owners
from alseg.labels.records import ImageRecord
from alseg.labels.store import LabelStore


def label_regions(
    regions: Mapping[int, Candidates],
    store: LabelStore,
    *,
    round_number: int,
    radius: int,
    annotator: Annotator | None,
    gather: Gather = alone,
    clicks: Callable[[str], int] | None = None,
) -> list[ImageRecord]:
    """Have regions labelled and write them to the staged round; the second half of a round.

    Args:
        regions: The regions of this process, by pool index; over all processes every image comes
            once at most.
        store: The label store, in which the round is staged.
        round_number: The round, from 1.
        radius: Window radius of the regions.
        annotator: Who answers; None where there are no regions.
        gather: As for ``acquire_round``.
        clicks: Returns how many answers a named image took; None: one a region.

    Returns:
        What each image with new regions got, over all processes and in pool order.

    Raises:
        LabelStoreError: An answer has another shape, or the store cannot be read or written.
    """
    records = []
    for index, chosen in sorted(regions.items()):
        assert annotator is not None
        image = store.images[index].id
        count = len(chosen) if clicks is None else clicks(image)
        records.append(_ask(store, round_number, index, chosen, radius, annotator, count))
    everyone = [record for part in gather(records) for record in part]
    order = {image.id: position for position, image in enumerate(store.images)}
    return sorted(everyone, key=lambda record: order[record.id])


def _ask(
    store: LabelStore,
    round_number: int,
    index: int,
    chosen: Candidates,
    radius: int,
    annotator: Annotator,
    clicks: int,
) -> ImageRecord:
    """Have the chosen regions of an image labelled and write them to the staged round."""
    image = store.images[index]
    label = store.label(image.id, round_number - 1)
    round_map = store.round_map(image.id, round_number - 1)
    owner = owners(label.shape, chosen.rows, chosen.columns, radius)
    new = (owner >= 0) & (round_map == 0)
    answer = annotator.answer(image.id, new)
    kind = (getattr(answer, "dtype", type(answer)), getattr(answer, "shape", None))
    if kind != (np.dtype(np.uint8), label.shape):
        raise LabelStoreError(
            f"The annotator's answer for {image.id} is {kind[0]} of the shape {kind[1]}; expected "
            f"uint8 of the shape {label.shape}: class numbers, and {IGNORE} for void."
        )
    label[new] = answer[new]
    round_map[new] = round_number
    queries = Queries(
        chosen.rows,
        chosen.columns,
        radius,
        chosen.scores,
        asked=np.bincount(owner[new], minlength=len(chosen)),
        void=np.bincount(owner[new & (label == IGNORE)], minlength=len(chosen)),
    )
    return store.write(round_number, image.id, queries, label, round_map, clicks)

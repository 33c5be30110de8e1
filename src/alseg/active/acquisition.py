"""One round: score, choose, ask, write; on one process or on many.

Each process looks at its own share of the pool. Only scores and costs of candidate regions travel
between processes, never a map; every process then makes the same choice from the same lists, so
the choice does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alseg.active.annotators import Annotator
from alseg.active.budget import Budget, by_deficit, by_score, nearest_prefix
from alseg.active.candidates import Candidates, Shortlist, flatten, pick_candidates
from alseg.active.queries import Queries, owners, windows
from alseg.active.records import ImageRecord
from alseg.active.store import LabelStore
from alseg.data.label_space import IGNORE
from alseg.errors import ConfigError, LabelStoreError

SCOPES = ("image", "pool")
Gather = Callable[[Any], list[Any]]
Unavailable = Callable[[str], NDArray[np.bool_]]


@dataclass(frozen=True)
class RoundResult:
    """What a round asked for, over all processes.

    Attributes:
        number: The round.
        regions: Regions asked for in this round.
        asked_pixels: Pixels asked for in this round, void ones among them.
        void_pixels: How many of these are void.
        shortfall: What could not be asked for by now because no region was left, in ``unit``; 0
            if the budget was kept.
        unit: ``pixels`` or ``regions``.
        images: What each image with new regions got, in pool order.
    """

    number: int
    regions: int
    asked_pixels: int
    void_pixels: int
    shortfall: int
    unit: str
    images: tuple[ImageRecord, ...]


def alone(mine: object) -> list[Any]:
    """Gather for a single process."""
    return [mine]


def check_request(scope: str, radius: int, exclusion_radius: int) -> None:
    """Check what can be checked of a request for regions before anything is scored.

    Raises:
        ConfigError: The scope is unknown, or the exclusion would let a region be asked for twice.
    """
    if scope not in SCOPES:
        raise ConfigError(f"Got the scope {scope!r}; allowed are {' and '.join(SCOPES)}.")
    if exclusion_radius < radius:
        raise ConfigError(
            f"An exclusion radius of {exclusion_radius} lets regions of radius {radius} be asked "
            f"for around pixels that are labelled already; use {radius} or more."
        )


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
    gather: Gather = alone,
    unavailable: Unavailable | None = None,
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
        gather: Returns what each process passes to it, as a list in the order of the processes;
            called as often on every process.
        unavailable: Returns the pixels H×W of a named image that may never be asked for; as many
            as the pool says.

    Raises:
        ConfigError: The scope is unknown, or the exclusion would let a region be asked for twice.
        LabelStoreError: A score map does not fit its image, images lack or come twice, or the
            store cannot be read or written.
    """
    exclusion = 2 * radius if exclusion_radius is None else exclusion_radius
    check_request(scope, radius, exclusion)
    targets = budget.targets(store.areas, round_number, rounds)
    deficits = targets - store.spent(budget.unit, round_number - 1)
    total = float(deficits.sum())
    shortlist = Shortlist(total if scope == "pool" else np.inf)
    for index, score in scored:
        image = store.images[index]
        if index in shortlist.images:
            raise LabelStoreError(
                f"The score map of {image.id} came twice. Check the pool's sampler: a round sees "
                "every image once."
            )
        if tuple(score.shape) != (image.height, image.width):
            raise LabelStoreError(
                f"The score map of {image.id} has the shape {tuple(score.shape)}; expected "
                f"{(image.height, image.width)}, like the image."
            )
        never, excluded = _closed(store, index, round_number - 1, exclusion, unavailable)
        candidates = pick_candidates(
            score,
            total if scope == "pool" else float(deficits[index]),
            unit=budget.unit,
            radius=radius,
            exclusion_radius=exclusion,
            asked=store.asked(image.id, round_number - 1) | never,
            barred=excluded,
            threshold=shortlist.threshold,
        )
        shortlist.add(index, candidates)
    mine = shortlist.images
    counts, left = _share_out(gather((sorted(mine), flatten(mine))), deficits, scope)
    records = []
    for index in sorted(mine):
        chosen = mine[index].first(int(counts[index]))
        if len(chosen):
            never = _never(store, index, unavailable)
            records.append(_ask(store, round_number, index, chosen, radius, never, annotator))
    everyone = [record for part in gather(records) for record in part]
    order = {image.id: position for position, image in enumerate(store.images)}
    everyone.sort(key=lambda record: order[record.id])
    return RoundResult(
        number=round_number,
        regions=sum(record.regions for record in everyone),
        asked_pixels=sum(record.asked for record in everyone),
        void_pixels=sum(record.void for record in everyone),
        shortfall=round(left) if left > budget.region_cost(radius) / 2 else 0,
        unit=budget.unit,
        images=tuple(everyone),
    )


def _share_out(
    parts: list[Any], deficits: NDArray[np.float64], scope: str
) -> tuple[NDArray[np.int64], float]:
    """Return how many candidates each image gets, and how much of the target is left unspent."""
    seen = sorted(index for indices, _ in parts for index in indices)
    if seen != list(range(len(deficits))):
        raise LabelStoreError(
            f"A round must see every image of the pool once; of {len(deficits)} images it saw "
            f"{len(set(seen))}, and {len(seen) - len(set(seen))} twice. Check the pool's sampler."
        )
    image, scores, costs = (
        np.concatenate(columns) for columns in zip(*(lists for _, lists in parts), strict=True)
    )
    pool_order = np.argsort(image, kind="stable")
    image, scores, costs = image[pool_order], scores[pool_order], costs[pool_order]
    order = by_score(scores) if scope == "pool" else by_deficit(image, scores, costs, deficits)
    total = float(deficits.sum())
    chosen = order[: nearest_prefix(costs[order], total)]
    counts: NDArray[np.int64] = np.bincount(image[chosen], minlength=len(deficits))
    return counts, total - float(costs[chosen].sum())


def _never(store: LabelStore, index: int, unavailable: Unavailable | None) -> NDArray[np.bool_]:
    image = store.images[index]
    if unavailable is None:
        return np.zeros((image.height, image.width), dtype=np.bool_)
    never = unavailable(image.id)
    if never.shape != (image.height, image.width) or int(never.sum()) != image.unavailable:
        raise LabelStoreError(
            f"The unavailable pixels of {image.id} are {int(never.sum())} of {never.shape}; the "
            f"pool says {image.unavailable} of {(image.height, image.width)}."
        )
    return never


def _closed(
    store: LabelStore, index: int, earlier: int, exclusion: int, unavailable: Unavailable | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pixels that are never asked for, and those that earlier picks exclude."""
    image = store.images[index]
    never = _never(store, index, unavailable)
    rounds = (store.queries(image.id, number) for number in range(1, earlier + 1))
    asked = [queries for queries in rounds if queries is not None]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *(part.rows for part in asked)])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *(part.columns for part in asked)])
    return never, windows((image.height, image.width), rows, columns, exclusion)


def _ask(
    store: LabelStore,
    round_number: int,
    index: int,
    chosen: Candidates,
    radius: int,
    never: NDArray[np.bool_],
    annotator: Annotator,
) -> ImageRecord:
    """Have the chosen regions of an image labelled and write them to the staged round."""
    image = store.images[index]
    label = store.label(image.id, round_number - 1)
    round_map = store.round_map(image.id, round_number - 1)
    owner = owners(label.shape, chosen.rows, chosen.columns, radius)
    new = (owner >= 0) & (round_map == 0) & ~never
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
    return store.write(round_number, image.id, queries, label, round_map)

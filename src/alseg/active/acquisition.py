"""One round: score, choose, ask, write; on one process or on many.

Each process looks at its own share of the pool. Only scores and costs of candidate regions travel
between processes, never a map; every process then makes the same choice from the same lists, so
the choice does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alseg.active.annotators import Annotator
from alseg.active.budget import Budget, by_deficit, by_score, nearest_prefix
from alseg.active.candidates import Candidates, Shortlist, flatten, pick_candidates
from alseg.active.queries import Queries, owners, windows
from alseg.active.records import ImageRecord, PoolImage
from alseg.active.store import LabelStore
from alseg.data.label_space import IGNORE
from alseg.errors import ConfigError, LabelStoreError

SCOPES = ("image", "pool")
Gather = Callable[[Any], list[Any]]


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
        unit: ``pixels``, ``regions`` or ``clicks``.
        images: What each image with new regions got, in pool order.
    """

    number: int
    regions: int
    asked_pixels: int
    void_pixels: int
    shortfall: int
    unit: str
    images: tuple[ImageRecord, ...]

    @classmethod
    def of(
        cls, number: int, images: Sequence[ImageRecord], shortfall: int = 0, unit: str = "pixels"
    ) -> RoundResult:
        """Return the result of a round from what its images got."""
        return cls(
            number=number,
            regions=sum(record.regions for record in images),
            asked_pixels=sum(record.asked for record in images),
            void_pixels=sum(record.void for record in images),
            shortfall=shortfall,
            unit=unit,
            images=tuple(images),
        )


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

    Raises:
        ConfigError: The scope is unknown, or the exclusion would let a region be asked for twice.
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


@dataclass(frozen=True)
class Choice:
    """The regions of a round, before anybody was asked.

    Attributes:
        regions: The regions of this process, by pool index; none for images that get none.
        left: How much of the round's target stays unspent over all processes, in pixels or regions.
    """

    regions: dict[int, Candidates]
    left: float


def choose_regions(
    scored: Iterable[tuple[int, Tensor]],
    store: LabelStore,
    *,
    budget: Budget,
    round_number: int,
    rounds: int,
    radius: int,
    exclusion_radius: int | None = None,
    scope: str = "image",
    gather: Gather = alone,
    clicks_per_region: float = 1.0,
    also_excluded: Callable[[str], Sequence[tuple[int, int]]] | None = None,
    on_candidates: Callable[[int, Candidates], None] | None = None,
) -> Choice:
    """Choose the regions of a round; the first half of ``acquire_round``.

    Args:
        scored: Pool index and score map H×W of the images of this process.
        store: The label store.
        budget: What the whole run may ask for.
        round_number: This round, from 1.
        rounds: Rounds of the run.
        radius: Window radius of a region.
        exclusion_radius: Window radius around a centre in which no further centre may lie.
        scope: ``image`` or ``pool``.
        gather: Returns what each process passes to it.
        clicks_per_region: Answers that a region will take, for a budget of clicks.
        also_excluded: Returns row and column of further centres in a named image around which no
            pick is made, besides those of earlier rounds.
        on_candidates: Called with pool index and candidates of an image as soon as it is scored;
            what is chosen of them later are the first few.

    Raises:
        ConfigError: As ``acquire_round`` does.
        LabelStoreError: As ``acquire_round`` does.
    """
    exclusion = 2 * radius if exclusion_radius is None else exclusion_radius
    check_request(scope, radius, exclusion)
    targets = budget.targets(store.areas, round_number, rounds)
    deficits = targets - store.spent(budget.unit, round_number - 1)
    if budget.clicks is not None:
        deficits = deficits / clicks_per_region
    total = float(deficits.sum())
    shortlist = Shortlist(total if scope == "pool" else np.inf)
    for index, score in scored:
        _check_score(store.images[index], score, index in shortlist.images)
        candidates = pick_candidates(
            score,
            total if scope == "pool" else float(deficits[index]),
            unit=budget.unit,
            radius=radius,
            exclusion_radius=exclusion,
            asked=store.asked(store.images[index].id, round_number - 1),
            barred=_excluded(store, index, round_number - 1, exclusion, also_excluded),
            threshold=shortlist.threshold,
        )
        if on_candidates is not None:
            on_candidates(index, candidates)
        shortlist.add(index, candidates)
    mine = shortlist.images
    counts, left = _share_out(gather((sorted(mine), flatten(mine))), deficits, scope)
    chosen = {index: mine[index].first(int(counts[index])) for index in sorted(mine)}
    return Choice({index: regions for index, regions in chosen.items() if len(regions)}, left)


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


def _excluded(
    store: LabelStore,
    index: int,
    earlier: int,
    exclusion: int,
    also: Callable[[str], Sequence[tuple[int, int]]] | None,
) -> NDArray[np.bool_]:
    """Return the pixels of an image that the picks of earlier rounds exclude."""
    image = store.images[index]
    further = np.array(also(image.id) if also is not None else [], dtype=np.int64).reshape(-1, 2)
    rounds = (store.queries(image.id, number) for number in range(1, earlier + 1))
    asked = [queries for queries in rounds if queries is not None]
    rows = np.concatenate([further[:, 0], *(part.rows for part in asked)])
    columns = np.concatenate([further[:, 1], *(part.columns for part in asked)])
    return windows((image.height, image.width), rows, columns, exclusion)


def _check_score(image: PoolImage, score: Tensor, seen: bool) -> None:
    if seen:
        raise LabelStoreError(
            f"The score map of {image.id} came twice. Check the pool's sampler: a round sees every "
            "image once."
        )
    if tuple(score.shape) != (image.height, image.width):
        raise LabelStoreError(
            f"The score map of {image.id} has the shape {tuple(score.shape)}; expected "
            f"{(image.height, image.width)}, like the image."
        )


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

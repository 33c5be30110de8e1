"""The first half of a round: which regions to ask for, chosen from score maps.

Only scores and costs of candidate regions travel between processes, never a map; every process
then makes the same choice from the same lists, so the choice does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alseg.active.candidates import (
    Candidates,
    Clipped,
    Shortlist,
    flatten,
    pick_candidates,
)
from alseg.config.budget import Budget, by_deficit, by_score, nearest_prefix
from alseg.errors import ConfigError, LabelStoreError
from alseg.labels.queries import windows
from alseg.labels.records import PoolImage
from alseg.labels.store import LabelStore
from alseg_strategies import Strategy

SCOPES = ("image", "pool")
CLIPPED = ("last", "any")
Gather = Callable[[Any], list[Any]]


def alone(mine: object) -> list[Any]:
    """Gather for a single process."""
    return [mine]


def check_request(scope: str, radius: int, exclusion_radius: int, clipped: str) -> None:
    """Check what can be checked of a request for regions before anything is scored.

    Raises:
        ConfigError: The scope or what happens to clipped windows is unknown, or the exclusion
            would let a region be asked for twice.
    """
    if scope not in SCOPES:
        raise ConfigError(f"Got the scope {scope!r}; allowed are {' and '.join(SCOPES)}.")
    if clipped not in CLIPPED:
        raise ConfigError(f"clipped is {clipped!r}; allowed are {' and '.join(CLIPPED)}.")
    if exclusion_radius < radius:
        raise ConfigError(
            f"An exclusion radius of {exclusion_radius} lets regions of radius {radius} be asked "
            f"for around pixels that are labelled already; use {radius} or more."
        )


def exclusion_for(strategy: Strategy, radius: int, given: int | None) -> int:
    """Return the exclusion radius of a run: the one that is given, else the strategy's own.

    Args:
        strategy: What ranks the regions.
        radius: Window radius of a region.
        given: What the settings of the run say; None leaves it to the strategy.
    """
    return max(radius, strategy.exclusion_radius(radius)) if given is None else given


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
    clipped: Clipped = "last",
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
        clipped: ``last`` or ``any``.
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
    check_request(scope, radius, exclusion, clipped)
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
            thresholds=shortlist.thresholds,
            clipped=clipped,
            seed=index,
        )
        if on_candidates is not None:
            on_candidates(index, candidates)
        shortlist.add(index, candidates)
    mine = shortlist.images
    counts, left = _share_out(gather((sorted(mine), flatten(mine))), deficits, scope)
    chosen = {index: mine[index].first(int(counts[index])) for index in sorted(mine)}
    return Choice({index: regions for index, regions in chosen.items() if len(regions)}, left)


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
    image, scores, costs, last = (
        np.concatenate(columns) for columns in zip(*(lists for _, lists in parts), strict=True)
    )
    pool_order = np.argsort(image, kind="stable")
    image, scores, costs, last = (column[pool_order] for column in (image, scores, costs, last))
    order = (
        by_score(scores, last) if scope == "pool" else by_deficit(image, scores, costs, deficits)
    )
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

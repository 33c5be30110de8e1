"""Which regions a round asks for, chosen from score maps.

Only scores and costs of candidate regions travel between processes, never a map; every process
then makes the same choice from the same lists, so the choice does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alseg.active.request import RoundRequest
from alseg.active.shortlist import Shortlist, flatten
from alseg.config.budget import by_deficit, by_score, nearest_prefix
from alseg.data.base import Pool
from alseg.distributed import ranks
from alseg.errors import LabelStoreError
from alseg.labels import LabelStore, PoolImage
from alseg.labels.candidates import Candidates


@dataclass(frozen=True)
class Scored:
    """What a round needs of an image of the pool once it is scored.

    Attributes:
        index: Its place in the pool.
        score: H×W, higher is asked first.
        logits: C×H×W.
    """

    index: int
    score: Tensor
    logits: Tensor

    def classes_at(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class that the network gives each of some pixels."""
        at = torch.from_numpy(np.stack([rows, columns])).to(self.logits.device)
        classes: NDArray[np.int64] = self.logits[:, at[0], at[1]].argmax(0).cpu().numpy()
        return classes


@dataclass(frozen=True)
class Choice:
    """The regions of a round, before anybody was asked.

    Attributes:
        regions: The regions of this rank, by pool index; none for images that get none.
        left: How much of what is due could not be chosen because no region was left, over all
            ranks, in the budget's unit; 0 where the rest is worth no region.
        scores: The score maps that were kept, H×W, by pool index.
    """

    regions: Mapping[int, Candidates]
    left: int
    scores: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Questions:
    """A round before it is answered; its regions are chosen when an annotator wants to see them.

    Attributes:
        request: What the round may ask for.
        store: The label store.
        settings: What is written down about the round.
        pool: The images; None where nothing new is asked.
        scored: The scored images of this rank.
        keep: The pool indices of images whose score maps are kept.
    """

    request: RoundRequest
    store: LabelStore
    settings: Mapping[str, Any]
    pool: Pool | None = None
    scored: Iterable[Scored] = ()
    keep: Collection[int] = ()

    def choose(
        self,
        clicks_per_region: float = 1.0,
        declined: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    ) -> Choice:
        """Choose the regions; every rank calls it, inside ``ranks.together``.

        Args:
            clicks_per_region: Answers that a region takes, until a round has shown it.
            declined: Row and column of regions, by name of their image, that nobody could answer.

        Raises:
            LabelStoreError: As ``choose_regions`` does.
            ScoreError: The strategy returned something that pixels cannot be ranked by.
        """
        if self.store.regions:
            clicks_per_region = float(self.store.spent("clicks").sum() / self.store.regions)
        return choose_regions(
            self.scored,
            self.store,
            self.request,
            keep=self.keep,
            clicks_per_region=clicks_per_region,
            declined=declined,
        )


def choose_regions(
    scored: Iterable[Scored],
    store: LabelStore,
    request: RoundRequest,
    *,
    keep: Collection[int] = (),
    clicks_per_region: float = 1.0,
    declined: Mapping[str, Sequence[tuple[int, int]]] | None = None,
) -> Choice:
    """Choose the regions of a round; every rank calls it.

    Args:
        scored: The images of this rank; over all ranks every image of the pool comes once, in any
            order.
        store: The label store, which also holds what earlier rounds asked for.
        request: What the round may ask for.
        keep: The pool indices of images whose score maps are kept.
        clicks_per_region: Answers that a region will take, for a budget of clicks.
        declined: Row and column of regions, by name of their image, that nobody could answer and
            that are not asked for again.

    Raises:
        LabelStoreError: A score map does not fit its image, images lack or come twice, or the
            store cannot be read.
    """
    earlier, unit, declined = request.number - 1, request.budget.unit, declined or {}
    deficits = request.deficits(store)
    if unit == "clicks":
        deficits = deficits / clicks_per_region
    by_pool = request.scope == "pool"
    total = float(deficits.sum())
    shortlist = Shortlist(total if by_pool else np.inf)
    scores: dict[int, Tensor] = {}
    for item in scored:
        image = store.images[item.index]
        _check_score(image, item.score, item.index in shortlist.images)
        if item.index in keep:
            scores[item.index] = item.score.cpu()
        candidates = request.region.candidates(
            item.score,
            total if by_pool else float(deficits[item.index]),
            unit=unit,
            asked=store.asked(image.id, earlier),
            barred=_barred(store, image, request, declined.get(image.id, ())),
            thresholds=shortlist.thresholds,
            seed=item.index,
        )
        classes = item.classes_at(candidates.rows, candidates.columns)
        shortlist.add(item.index, replace(candidates, classes=classes))
    mine = shortlist.images
    counts, left = _share_out(ranks.gather((sorted(mine), flatten(mine))), deficits, by_pool)
    chosen = {index: mine[index].first(int(counts[index])) for index in sorted(mine)}
    return Choice(
        {index: regions for index, regions in chosen.items() if len(regions)},
        round(left) if left > request.region_cost(store.images) / 2 else 0,
        scores,
    )


def _share_out(
    parts: list[Any], deficits: NDArray[np.float64], by_pool: bool
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
    order = by_score(scores, last) if by_pool else by_deficit(image, scores, costs, deficits)
    total = float(deficits.sum())
    chosen = order[: nearest_prefix(costs[order], total)]
    counts: NDArray[np.int64] = np.bincount(image[chosen], minlength=len(deficits))
    return counts, total - float(costs[chosen].sum())


def _barred(
    store: LabelStore,
    image: PoolImage,
    request: RoundRequest,
    declined: Sequence[tuple[int, int]],
) -> NDArray[np.bool_]:
    """Return the pixels of an image that the regions of earlier rounds bar from being an anchor."""
    further = np.array(declined, dtype=np.int64).reshape(-1, 2)
    rounds = (store.queries(image.id, number) for number in range(1, request.number))
    asked = [queries for queries in rounds if queries is not None]
    rows = np.concatenate([further[:, 0], *(part.rows for part in asked)])
    columns = np.concatenate([further[:, 1], *(part.columns for part in asked)])
    return request.region.barred((image.height, image.width), rows, columns)


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

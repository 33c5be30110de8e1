"""A round between two trainings, on all ranks: choose, ask, label, commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alseg import ranks
from alseg.active.acquisition import RoundResult, choose_regions, label_regions
from alseg.active.annotators import Annotator
from alseg.active.budget import Budget
from alseg.active.candidates import Candidates
from alseg.active.people import People
from alseg.active.store import LabelStore
from alseg.data.base import SegmentationDataset
from alseg.errors import LabelStoreError


@dataclass
class Round:
    """One round; every method is to be called by all ranks.

    Attributes:
        number: The round, from 1.
        rounds: Rounds of the run.
        store: The label store.
        budget: What the whole run may ask for.
        radius: Window radius of a region.
        exclusion_radius: Window radius around a pick in which no further pick is made.
        scope: ``image`` or ``pool``.
        settings: What is written down about the round.
    """

    number: int
    rounds: int
    store: LabelStore
    budget: Budget
    radius: int
    exclusion_radius: int
    scope: str
    settings: Mapping[str, Any]
    _guesses: dict[int, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)

    def choose(
        self,
        scored: Iterable[tuple[int, Tensor, Tensor]],
        annotator: Annotator,
        kept: dict[int, Tensor],
        keep: int = 0,
    ) -> dict[int, Candidates]:
        """Return the regions to ask for in the images of this rank, by pool index.

        Args:
            scored: Pool index, score map H×W and logits C×H×W of the images of this rank.
            annotator: Who will answer.
            kept: Takes up the score maps of the first images.
            keep: Of how many.
        """
        logits = torch.empty(0)

        def maps() -> Iterator[tuple[int, Tensor]]:
            nonlocal logits
            for index, score, shown in scored:
                logits = shown
                if len(kept) < keep:
                    kept[index] = score.cpu()
                yield index, score

        def guess(index: int, candidates: Candidates) -> None:
            at = np.stack([candidates.rows, candidates.columns])
            rows, columns = torch.from_numpy(at).to(logits.device)
            self._guesses[index] = logits[:, rows, columns].argmax(0).cpu().numpy()

        return choose_regions(
            maps(),
            self.store,
            budget=self.budget,
            round_number=self.number,
            rounds=self.rounds,
            radius=self.radius,
            exclusion_radius=self.exclusion_radius,
            scope=self.scope,
            gather=ranks.gather,
            clicks_per_region=self._clicks_per_region(annotator),
            on_candidates=guess,
        ).regions

    def _clicks_per_region(self, annotator: Annotator) -> float:
        """Return how many answers a region will take: as many as those so far."""
        if self.store.regions:
            return float(self.store.spent("clicks").sum() / self.store.regions)
        return annotator.clicks_expected(self.radius) if isinstance(annotator, People) else 1.0

    def ask(
        self, people: People, pool: SegmentationDataset, regions: Mapping[int, Candidates]
    ) -> None:
        """Write the chosen regions of all ranks out as queries.

        Raises:
            AnswersNeeded: They are written; nothing else can be done before they are answered.
            LabelStoreError: They cannot be written.
        """
        mine = {index: (part, self._guesses[index][: len(part)]) for index, part in regions.items()}
        everyone = {index: part for rank in ranks.gather(mine) for index, part in rank.items()}
        if not everyone:
            return
        if ranks.is_first():
            people.ask(self.number, pool, everyone, self.radius, self.settings)
        ranks.gather("the queries are written")
        raise people.needed(self.number)

    def is_asked(self, people: People) -> bool:
        """Return whether the queries of the round are written, as the first rank sees it."""
        asked: bool = ranks.gather(people.has_asked(self.number))[0]
        return asked

    def read_answers(self, people: People) -> dict[int, Candidates]:
        """Return the regions of this rank that people have answered.

        Raises:
            AnswersMissing: Queries are not answered.
        """
        # As the first rank reads them: somebody may still be answering.
        settled = ranks.gather(people.read(self.number) if ranks.is_first() else None)[0]
        people.use(self.number, settled)
        order = {image.id: index for index, image in enumerate(self.store.images)}
        return ranks.share_of(people.regions(order))

    def label(self, annotator: Annotator, regions: Mapping[int, Candidates]) -> RoundResult:
        """Have the regions of this rank labelled, and commit the round.

        Raises:
            LabelStoreError: It cannot be written; the store is as before.
        """
        clicks = annotator.clicks if isinstance(annotator, People) else None
        try:
            with ranks.together():
                if ranks.is_first():
                    self.store.stage(self.number)
                ranks.gather("the round is staged")
                records = label_regions(
                    regions,
                    self.store,
                    round_number=self.number,
                    radius=self.radius,
                    annotator=annotator,
                    gather=ranks.gather,
                    clicks=clicks,
                )
                if ranks.is_first():
                    self.store.commit(self.number, self.settings, records)
                ranks.gather("the round is committed")
                self.store.wait_for(self.number)
        except Exception:
            if ranks.is_first():
                # What cannot be removed now is removed before the round is held again.
                with suppress(LabelStoreError):
                    self.store.tidy()
            raise
        return RoundResult.of(self.number, records)

"""What an annotator is asked in a round."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alseg.active.choosing import Choice, Scored, choose_regions
from alseg.active.request import RoundRequest
from alseg.data.base import SegmentationDataset
from alseg.labels import LabelStore


@dataclass
class Questions:
    """A round before it is answered; its regions are chosen when an annotator wants to see them.

    Attributes:
        request: What the round may ask for.
        store: The label store.
        settings: What is written down about the round.
        pool: The images; None where nothing new is asked.
        scored: The scored images of this rank.
        keep: The pool indices of images whose score maps are kept.
        choice: What was chosen; None as long as nothing was.
    """

    request: RoundRequest
    store: LabelStore
    settings: Mapping[str, Any]
    pool: SegmentationDataset | None = None
    scored: Iterable[Scored] = ()
    keep: Collection[int] = ()
    choice: Choice | None = field(default=None, init=False)

    def choose(
        self,
        clicks_per_region: float = 1.0,
        declined: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    ) -> Choice:
        """Choose the regions; every rank calls it, inside ``ranks.together``.

        Args:
            clicks_per_region: Answers that a region takes, as long as no round has told.
            declined: Row and column of regions, by name of their image, that nobody could answer.

        Raises:
            LabelStoreError: As ``choose_regions`` does.
            ScoreError: The strategy returned something that pixels cannot be ranked by.
        """
        if self.store.regions:
            clicks_per_region = float(self.store.spent("clicks").sum() / self.store.regions)
        self.choice = choose_regions(
            self.scored,
            self.store,
            self.request,
            keep=self.keep,
            clicks_per_region=clicks_per_region,
            declined=declined,
        )
        return self.choice

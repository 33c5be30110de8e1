"""A round between two trainings, on all ranks: choose, ask, label, commit."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from alseg.active.annotators import Annotator, Answers
from alseg.active.choosing import Questions, Scored
from alseg.active.request import RoundRequest
from alseg.data.base import Pool
from alseg.data.label_space import IGNORE
from alseg.distributed import ranks
from alseg.errors import LabelStoreError
from alseg.labels import ImageRecord, LabelStore, RoundResult
from alseg.labels.candidates import Candidates
from alseg.labels.queries import Queries
from alseg.queries import asked_rounds, open_round


class Held(NamedTuple):
    """A round that was held.

    Attributes:
        result: What it asked for, over all ranks.
        scores: The score maps that were kept, H×W, by pool index.
    """

    result: RoundResult
    scores: Mapping[int, Tensor]


@dataclass(frozen=True)
class Round:
    """One round; every method is to be called by all ranks.

    Attributes:
        request: What it may ask for.
        store: The label store.
        annotator: Who answers.
        further: What is written down about the round besides the request.
    """

    request: RoundRequest
    store: LabelStore
    annotator: Annotator
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What is written down about the round, as JSON values."""
        return {**self.request.settings(), **self.further}

    def hold(
        self,
        scored: Iterable[Scored] = (),
        pool: Pool | None = None,
        keep: Collection[int] = (),
        commit_empty: bool = True,
    ) -> Held:
        """Choose regions, have them answered, and commit the round.

        Args:
            scored: The images of this rank; looked at only where regions are chosen.
            pool: The images, for an annotator that shows them.
            keep: The pool indices of images whose score maps are kept.
            commit_empty: Whether a round without a region is one, as in a training, which counts
                them.

        Raises:
            AnswersMissing: People were asked, and have not answered.
            AnswersNeeded: People are asked now.
            LabelStoreError: The store is damaged or cannot be written; it is as before.
            ScoreError: The strategy returned something that pixels cannot be ranked by.
        """
        questions = Questions(self.request, self.store, self.settings, pool, scored, keep)
        with self.annotator.answer(questions) as answers:
            is_held = commit_empty or any(ranks.gather(len(answers.regions)))
            records = self._commit(answers) if is_held else []
        number, unit = self.request.number, self.request.budget.unit
        return Held(RoundResult.of(number, records, answers.left, unit), answers.scores)

    def _commit(self, answers: Answers) -> list[ImageRecord]:
        number = self.request.number
        try:
            with ranks.together():
                if ranks.is_first():
                    self.store.stage(number)
                ranks.gather("the round is staged")
                mine = [
                    self._label(index, regions, answers)
                    for index, regions in sorted(answers.regions.items())
                ]
                order = {image.id: place for place, image in enumerate(self.store.images)}
                records = [record for rank in ranks.gather(mine) for record in rank]
                records.sort(key=lambda record: order[record.id])
                if ranks.is_first():
                    self.store.commit(number, self.settings, records)
                ranks.gather("the round is committed")
                self.store.wait_for(number)
        except Exception:
            if ranks.is_first():
                # What cannot be removed now is removed before the round is held again.
                with suppress(LabelStoreError):
                    self.store.tidy()
            raise
        return records

    def _label(self, index: int, regions: Candidates, answers: Answers) -> ImageRecord:
        """Have the regions of an image labelled, and write them to the staged round."""
        image, number = self.store.images[index], self.request.number
        label = self.store.label(image.id, number - 1)
        round_map = self.store.round_map(image.id, number - 1)
        owner = self.request.region.owners(
            (image.height, image.width), regions.rows, regions.columns
        )
        new = (owner >= 0) & (round_map == 0)
        answer = answers.label(image.id, new)
        kind = (getattr(answer, "dtype", type(answer)), getattr(answer, "shape", None))
        if kind != (np.dtype(np.uint8), label.shape):
            raise LabelStoreError(
                f"The annotator's answer for {image.id} is {kind[0]} of the shape {kind[1]}; "
                f"expected uint8 of the shape {label.shape}: class numbers, and {IGNORE} for void."
            )
        label[new] = answer[new]
        round_map[new] = number
        queries = Queries(
            self.request.region,
            regions.rows,
            regions.columns,
            regions.scores,
            asked=np.bincount(owner[new], minlength=len(regions)),
            void=np.bincount(owner[new & (label == IGNORE)], minlength=len(regions)),
        )
        clicks = None if answers.clicks is None else answers.clicks(image.id)
        return self.store.write(number, image.id, queries, label, round_map, clicks)


def take_answers(store: LabelStore, annotator: Annotator) -> RoundResult | None:
    """Commit the round that people have answered outside of a training, if one is open.

    Args:
        store: The label store.
        annotator: Who was asked, with the folder of the run.

    Returns:
        What the round came to; None if no round is open.

    Raises:
        AlsegError: As ``Round.hold`` does.
    """
    number = store.rounds + 1
    if annotator.run is None or number not in asked_rounds(annotator.run):
        return None
    settings = open_round(annotator.run, number).settings
    request = RoundRequest.read(number, settings)
    known = request.settings()
    further = {name: value for name, value in settings.items() if name not in known}
    return Round(request, store, annotator, further).hold().result


def spread(length: int, count: int, world_size: int) -> list[int]:
    """Return the indices of a few images, spread over a pool, that the first rank scores.

    Args:
        length: Number of images in the pool.
        count: How many to return; of a small pool, fewer.
        world_size: Number of ranks, which take turns.
    """
    there = math.ceil(length / world_size)
    count = min(count, there)
    return [world_size * ((2 * place + 1) * there // (2 * count)) for place in range(count)]

"""People who answer: a round's queries are written out, and the run goes on once they are answered.

Training waits for nobody. The run that needs answers writes the queries of the round and ends; the
run that is resumed reads the answers and goes on from the same step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.active.answers import Journal, people
from alseg.active.asked import SPLITS, AskedImage, AskedRound, Query, query_id
from alseg.active.asked_files import asked_rounds, open_round, write_round
from alseg.active.candidates import Candidates
from alseg.active.settling import Settled, paint, settle
from alseg.data.base import SegmentationDataset
from alseg.errors import AnswersMissing, AnswersNeeded, ConfigError


class People:
    """The annotator that asks people.

    Attributes:
        run: The folder of the run, in which queries and answers lie.
        split: What becomes of a window that is answered as mixed, see ``AskedRound``.
        partial: Whether to go on without the answers that are missing; their regions go back to the
            pool and are not charged.
    """

    def __init__(self, run: str | Path, split: str = "quadrants", partial: bool = False) -> None:
        if split not in SPLITS:
            raise ConfigError(f"Got the split {split!r}; allowed are {', '.join(SPLITS)}.")
        self.run = Path(run)
        self.split = split
        self.partial = partial
        self._asked: AskedRound | None = None
        self._settled = Settled()

    def has_asked(self, number: int) -> bool:
        """Return whether the queries of a round are written."""
        return number in asked_rounds(self.run)

    def ask(
        self,
        number: int,
        pool: SegmentationDataset,
        regions: Mapping[int, tuple[Candidates, NDArray[np.int64]]],
        radius: int,
        settings: Mapping[str, Any],
    ) -> None:
        """Write the queries of a round.

        Args:
            number: The round, from 1.
            pool: The pool.
            regions: What is asked for and the class that the network gives each centre, by index.
            radius: Window radius of the regions.
            settings: What the round is asked for with.

        Raises:
            LabelStoreError: They cannot be written.
        """
        images = [
            AskedImage(pool.ids[index], *pool.size(index), str(pool.file(index) or ""))
            for index in sorted(regions)
        ]
        queries: list[Query] = []
        for image, index in zip(images, sorted(regions), strict=True):
            candidates, guesses = regions[index]
            centres = zip(
                candidates.rows.tolist(),
                candidates.columns.tolist(),
                candidates.scores.tolist(),
                guesses.tolist(),
                strict=True,
            )
            queries += [
                Query(
                    id=query_id(number, len(queries) + position),
                    image=image.id,
                    row=row,
                    column=column,
                    top=max(row - radius, 0),
                    left=max(column - radius, 0),
                    bottom=min(row + radius + 1, image.height),
                    right=min(column + radius + 1, image.width),
                    score=score,
                    guess=guess,
                )
                for position, (row, column, score, guess) in enumerate(centres)
            ]
        index_of = {image_id: index for index, image_id in enumerate(pool.ids)}
        write_round(
            self.run,
            number,
            classes=pool.label_space.classes,
            colors=pool.label_space.colors,
            split=self.split,
            images=images,
            queries=queries,
            settings=settings,
            pixels=lambda image_id: pool.image(index_of[image_id]),
        )

    def needed(self, number: int) -> AnswersNeeded:
        """Return what ends a run whose queries of a round are to be answered."""
        asked = open_round(self.run, number)
        return AnswersNeeded(
            f"Round {number} asks {len(asked.queries):,} queries in {len(asked.images):,} images."
        )

    def read(self, number: int) -> Settled:
        """Return what the answers to a round come to.

        Raises:
            AnswersMissing: Queries are not answered, and ``partial`` is not set.
            LabelStoreError: Queries or answers are damaged.
        """
        asked = open_round(self.run, number)
        settled = settle(asked)
        if (settled.missing or settled.disputed) and not self.partial:
            raise AnswersMissing(self._missing(asked, settled))
        return settled

    def _missing(self, asked: AskedRound, settled: Settled) -> str:
        words, how = [], f"Answer them with `alseg annotate {self.run}`"
        if settled.missing:
            words.append(f"{len(settled.missing):,} of {len(asked.queries):,} are not answered")
        if settled.disputed:
            words.append(f"{len(settled.disputed):,} are answered differently by as many people")
            how += f", settle those that differ with `alseg annotate {self.run} --review`"
        return (
            f"Of the queries of round {asked.number} {' and '.join(words)}. {how}, or go on "
            "without them with --partial: their regions go back to the pool and are not charged."
        )

    def use(self, number: int, settled: Settled) -> None:
        """Answer for a round with these answers from now on."""
        self._asked, self._settled = open_round(self.run, number), settled

    def regions(self, index_of: Mapping[str, int]) -> dict[int, Candidates]:
        """Return the regions that are answered, by pool index, in the order they were asked in."""
        assert self._asked is not None
        found = {}
        for image_id, queries in self._asked.by_image.items():
            answered = [query for query in queries if query.id in self._settled.answers]
            if answered:
                found[index_of[image_id]] = Candidates(
                    np.array([query.row for query in answered], dtype=np.int64),
                    np.array([query.column for query in answered], dtype=np.int64),
                    np.array([query.score for query in answered], dtype=np.float64),
                    np.ones(len(answered), dtype=np.int64),
                )
        return found

    def clicks_expected(self, radius: int) -> float:
        """Return how many answers a region takes if every other one is mixed.

        Args:
            radius: Window radius of the region.
        """
        side = 2 * radius + 1
        parts = {"quadrants": 4, "pixels": side**2, "drop": 0}[self.split]
        return 1 + parts / 2 if radius else 1.0

    def clicks(self, image_id: str) -> int:
        """Return how many answers the regions of an image took."""
        return self._settled.clicks[image_id]

    def effort(self) -> dict[str, float]:
        """Return the answers that people have given in all rounds, and the seconds they took."""
        entries = [
            entry
            for number in asked_rounds(self.run)
            for asked in [open_round(self.run, number)]
            for person in people(asked)
            for entry in Journal(asked, person).entries()
            if entry.answer is not None
        ]
        seconds = sum(entry.seconds for entry in entries)
        return {"clicks": len(entries), "seconds_of_people": round(seconds, 1)}

    def answer(self, image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the labels that people gave an image, H×W; 255 is void or not asked for."""
        assert self._asked is not None
        return paint(self._asked, self._settled.answers, image_id, asked.shape)

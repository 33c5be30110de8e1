"""People who answer: a round's queries are written out, and the run goes on once they are answered.

Training waits for nobody. The run that needs answers writes the queries of the round and ends; the
run that is resumed reads the answers and goes on from the same step.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.active.candidates import Candidates
from alseg.data.base import SegmentationDataset
from alseg.errors import AnswersMissing, ConfigError
from alseg.queries.answers import LONGEST_LOOK, Journal, people
from alseg.queries.answers_folder import lock_answers
from alseg.queries.asked import SPLITS, AskedImage, AskedRound, Query, query_id
from alseg.queries.asked_files import asked_rounds, move_images, open_round, write_round
from alseg.queries.settling import Settled, paint, settle


class People:
    """Stands for the people who answer, and says what they are asked and have answered.

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
    ) -> str:
        """Write the queries of a round, and return a sentence about them.

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

        return f"Queries of round {number}: {len(queries):,}, in {len(images):,} images."

    def follow(self, pool: SegmentationDataset) -> None:
        """Look for the images of all rounds where the pool has them now.

        An image is still known by its digest: another one in its place is refused when it is used.

        Args:
            pool: The pool, at another place than when the rounds were asked.

        Raises:
            LabelStoreError: A round is damaged, or cannot be written.
        """
        places = ((image_id, pool.file(index)) for index, image_id in enumerate(pool.ids))
        files = {image_id: str(place.absolute()) for image_id, place in places if place}
        for number in asked_rounds(self.run):
            move_images(self.run, number, files)

    def read(self, number: int) -> Settled:
        """Return what the answers to a round come to.

        Raises:
            AnswersMissing: Queries are not answered, and ``partial`` is not set; or none is.
            LabelStoreError: Queries or answers are damaged, or an image has changed since it was
                asked about.
        """
        asked = open_round(self.run, number)
        settled = settle(asked)
        nothing = not (settled.answers or settled.skipped)
        if nothing or ((settled.missing or settled.disputed) and not self.partial):
            raise AnswersMissing(self._missing(asked, settled, nothing))
        asked.check_images({asked.find(name).image for name in settled.answers})
        return settled

    def _missing(self, asked: AskedRound, settled: Settled, nothing: bool) -> str:
        run = shlex.quote(str(self.run))
        words, how = [], f"Answer them with `alseg annotate {run}`"
        if settled.missing:
            words.append(f"{len(settled.missing):,} of {len(asked.queries):,} are not answered")
        if settled.disputed:
            words.append(f"{len(settled.disputed):,} are answered differently by as many people")
            how += f", settle those that differ with `alseg annotate {run} --review`"
        if not nothing:
            how += (
                ", or go on without them with --partial: their regions go back to the pool and are "
                "not charged"
            )
        return f"Of the queries of round {asked.number} {' and '.join(words)}. {how}."

    @contextmanager
    def closed(self, number: int) -> Iterator[None]:
        """Keep people from answering a round while the body takes its answers in.

        Raises:
            FolderInUse: The labelling page is open, or answers are imported.
        """
        with lock_answers(open_round(self.run, number)):
            yield

    def skipped(self, before: int) -> dict[str, list[Query]]:
        """Return the queries of the rounds before one that nobody could answer, by image."""
        found: dict[str, list[Query]] = {}
        for number in asked_rounds(self.run):
            if number < before:
                asked = open_round(self.run, number)
                for query in map(asked.find, settle(asked).skipped):
                    found.setdefault(query.image, []).append(query)
        return found

    def clicks_expected(self, radius: int) -> float:
        """Return how many answers a region takes if every other one is mixed.

        Args:
            radius: Window radius of the region.
        """
        parts = {"quadrants": 4, "pixels": (2 * radius + 1) ** 2, "drop": 0}[self.split]
        return 1 + parts / 2 if radius else 1.0

    def effort(self) -> dict[str, float]:
        """Return how many answers people gave in all rounds, and the seconds of those measured.

        Answers from other tools have no time. A look at a query counts for a minute at most:
        whoever takes longer is not at the desk.
        """
        looks = [
            min(entry.seconds, LONGEST_LOOK)
            for number in asked_rounds(self.run)
            for asked in [open_round(self.run, number)]
            for person in people(asked)
            for entry in Journal(asked, person).entries()
            if entry.answer is not None
        ]
        timed = [seconds for seconds in looks if seconds > 0]
        return {"answers": len(looks), "timed": len(timed), "seconds": round(sum(timed), 1)}


class Answers:
    """The annotator of a round that people have answered.

    Attributes:
        settled: What their answers come to.
    """

    def __init__(self, asked: AskedRound, settled: Settled) -> None:
        self._asked = asked
        self.settled = settled

    def regions(self, index_of: Mapping[str, int]) -> dict[int, Candidates]:
        """Return the regions that are answered, in the order they were asked in.

        Args:
            index_of: The pool index of every image by its name, by which the regions are returned.
        """
        found = {}
        for image_id, queries in self._asked.by_image.items():
            answered = [query for query in queries if query.id in self.settled.answers]
            if answered:
                found[index_of[image_id]] = Candidates(
                    np.array([query.row for query in answered], dtype=np.int64),
                    np.array([query.column for query in answered], dtype=np.int64),
                    np.array([query.score for query in answered], dtype=np.float64),
                    np.ones(len(answered), dtype=np.int64),
                    np.zeros(len(answered), dtype=bool),
                )
        return found

    def clicks(self, image_id: str) -> int:
        """Return how many answers the regions of an image took."""
        return self.settled.clicks[image_id]

    def answer(self, image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the labels that people gave an image, H×W; 255 is void or not asked for."""
        return paint(self._asked, self.settled.answers, image_id, asked.shape)

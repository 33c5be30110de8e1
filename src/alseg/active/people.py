"""People who answer: a round's queries are written out, and the run goes on once they are answered.

Training waits for nobody. The run that needs answers writes the queries of the round and ends; the
run that is resumed reads the answers and continues from the same step.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from alseg.active.annotators import Annotator, Answers
from alseg.active.choosing import Choice, Questions
from alseg.data.base import Pool, file_of
from alseg.data.label_space import LabelSpace, distinct_color
from alseg.distributed import ranks
from alseg.errors import AnswersMissing, AnswersNeeded, ConfigError
from alseg.labels import LabelStore
from alseg.labels.candidates import Candidates
from alseg.labels.region_shape import SPLITS, RegionShape
from alseg.queries.answers import LONGEST_LOOK, Journal, people
from alseg.queries.answers_folder import lock_answers
from alseg.queries.asked import AskedImage, AskedRound, Query, query_id
from alseg.queries.asked_files import asked_rounds, move_images, open_round, write_round
from alseg.queries.settling import Settled, paint, settle


class People(Annotator):
    """Stands for the people who answer, and says what they are asked and have answered.

    Attributes:
        run: The folder of the run, in which queries and answers lie.
        split: What becomes of a region that is answered as mixed, see ``AskedRound``.
        partial: Whether to continue without the answers that are missing; their regions go back to
            the pool and are not charged.
    """

    name = "people"
    declines = True
    calls = ("image",)

    def __init__(self, run: str | Path, split: str = "quadrants", partial: bool = False) -> None:
        if split not in SPLITS:
            raise ConfigError(f"Got the split {split!r}; allowed are {', '.join(SPLITS)}.")
        self.run: Path = Path(run)
        self.split = split
        self.partial = partial

    @contextmanager
    def answer(self, questions: Questions) -> Iterator[Answers]:
        """Yield what people have answered, or write the queries of the round for them.

        The page stays closed until the answers are committed.

        Raises:
            AnswersMissing: Queries are not answered.
            AnswersNeeded: They are written; nothing else can be done before they are answered.
            FolderInUse: The labelling page is open.
            LabelStoreError: Queries or answers are damaged, or cannot be written.
        """
        number = questions.request.number
        # As the first rank sees it: on shared storage the others may see it later.
        if ranks.gather(number in asked_rounds(self.run))[0]:
            with ExitStack() as stack:
                yield self._taken(number, questions.store, stack)
        else:
            with ranks.together():
                choice = self._choose(questions)
                self._ask(questions, choice)
            yield Answers({}, _no_label, left=choice.left)

    def _taken(self, number: int, store: LabelStore, stack: ExitStack) -> Answers:
        with ranks.together():
            settled = None
            if ranks.is_first():
                stack.enter_context(self.closed(number))
                settled = self.read(number)
            settled = ranks.gather(settled)[0]
            asked = open_round(self.run, number)
        index_of = {image.id: index for index, image in enumerate(store.images)}
        regions = {index_of[name]: part for name, part in _answered(asked, settled).items()}
        return Answers(
            ranks.share_of(regions),
            lambda image_id, new: paint(asked, settled.answers, image_id, new.shape),
            clicks=lambda image_id: settled.clicks[image_id],
        )

    def _choose(self, questions: Questions) -> Choice:
        """Choose the regions of a round; what people have skipped is not chosen again."""
        skipped = self._skipped(questions.request.number)
        image = questions.store.images[0]
        return questions.choose(
            self.clicks_expected(questions.request.region, (image.height, image.width)),
            {name: [(query.row, query.column) for query in part] for name, part in skipped.items()},
        )

    def _ask(self, questions: Questions, choice: Choice) -> None:
        """Write the chosen regions of all ranks out as queries; without any it does nothing.

        Raises:
            AnswersNeeded: They are written; nothing else can be done before they are answered.
            LabelStoreError: They cannot be written.
        """
        parts = ranks.gather(choice.regions)
        everyone = {index: part for rank in parts for index, part in rank.items()}
        if not everyone:
            return
        said = ""
        if ranks.is_first():
            said = self._write(questions, everyone)
            if choice.left:
                counts = questions.request.budget.counts
                unit = "regions" if counts == "clicks" else counts
                said += (
                    f" The pool is exhausted: {choice.left:,} {unit} of what is due could not be "
                    f"found. {questions.request.region.advice}"
                )
        raise AnswersNeeded(ranks.gather(said)[0])

    def _write(self, questions: Questions, regions: Mapping[int, Candidates]) -> str:
        """Write the queries of a round, and return a sentence about them."""
        pool, request = questions.pool, questions.request
        if pool is None:
            raise ConfigError("People are shown images: give the round its pool.")
        images = [
            AskedImage(pool.ids[index], *pool.size(index), str(file_of(pool, index) or ""))
            for index in sorted(regions)
        ]
        queries: list[Query] = []
        for image, index in zip(images, sorted(regions), strict=True):
            part = regions[index]
            classes = np.zeros(len(part), dtype=np.int64) if part.classes is None else part.classes
            anchors = zip(
                part.rows.tolist(),
                part.columns.tolist(),
                part.scores.tolist(),
                classes.tolist(),
                strict=True,
            )
            size = image.height, image.width
            queries += [
                Query(
                    query_id(request.number, len(queries) + position),
                    image.id,
                    row,
                    column,
                    *request.region.outline(size, row, column),
                    score=score,
                    guess=guess,
                )
                for position, (row, column, score, guess) in enumerate(anchors)
            ]
        index_of = {image_id: index for index, image_id in enumerate(pool.ids)}
        show = getattr(pool, "display", None) or cast(Any, pool).image
        write_round(
            self.run,
            request.number,
            classes=questions.store.classes,
            colors=_colors(pool, questions.store.classes),
            split=self.split,
            images=images,
            queries=queries,
            settings=questions.settings,
            pixels=lambda image_id: show(index_of[image_id]),
        )
        return f"Queries of round {request.number}: {len(queries):,}, in {len(images):,} images."

    def check(self, number: int) -> None:
        """Check that a round which is asked already is answered.

        Raises:
            AnswersMissing: It is not.
            FolderInUse: The labelling page is open.
            LabelStoreError: Queries or answers are damaged.
        """
        if number in asked_rounds(self.run):
            with self.closed(number):
                self.read(number)

    def follow(self, pool: Pool) -> None:
        """Look for the images of all rounds where the pool has them now.

        An image is still known by its digest: another one in its place is refused when it is used.

        Args:
            pool: The pool, at another place than when the rounds were asked.

        Raises:
            LabelStoreError: A round is damaged, or cannot be written.
        """
        places = ((image_id, file_of(pool, index)) for index, image_id in enumerate(pool.ids))
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
        page = f"Answer them with `alseg annotate {run}`"
        tool = f"Label the images in a tool (`alseg export {run}`) and `alseg import {run}` them"
        painted = asked.region.is_painted
        review = (
            f"alseg import {run} FILE --as review" if painted else f"alseg annotate {run} --review"
        )
        words, how = [], tool if painted else page
        if settled.missing:
            words.append(f"{len(settled.missing):,} of {len(asked.queries):,} are not answered")
        if settled.disputed:
            words.append(f"{len(settled.disputed):,} are answered differently by as many people")
            how += f", settle those that differ with `{review}`"
        if nothing and self.partial:
            how += ". --partial needs one answer or more"
        if not nothing:
            how += (
                ", or go on without them with --partial: their regions go back to the pool and are "
                "not charged"
            )
        return f"Of the queries of round {asked.number}, {' and '.join(words)}. {how}."

    @contextmanager
    def closed(self, number: int) -> Iterator[None]:
        """Keep people from answering a round while the body takes its answers in.

        Raises:
            FolderInUse: The labelling page is open, or answers are imported.
        """
        with lock_answers(open_round(self.run, number)):
            yield

    def _skipped(self, before: int) -> dict[str, list[Query]]:
        """Return the queries of the rounds before one that nobody could answer, by image."""
        found: dict[str, list[Query]] = {}
        for number in asked_rounds(self.run):
            if number < before:
                asked = open_round(self.run, number)
                for query in map(asked.find, settle(asked).skipped):
                    found.setdefault(query.image, []).append(query)
        return found

    def clicks_expected(self, region: RegionShape, size: tuple[int, int]) -> float:
        """Return how many answers a region takes if every other one is mixed.

        Args:
            region: The shape of the region.
            size: Height and width of the image that it is in the middle of.
        """
        box = region.outline(size, size[0] // 2, size[1] // 2)
        return 1 + len(region.parts(box, self.split)) / 2

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


def _answered(asked: AskedRound, settled: Settled) -> dict[str, Candidates]:
    """Return the regions that are answered, by image, in the order they were asked in."""
    found = {}
    for image_id, queries in asked.by_image.items():
        answered = [query for query in queries if query.id in settled.answers]
        if answered:
            found[image_id] = Candidates(
                np.array([query.row for query in answered], dtype=np.int64),
                np.array([query.column for query in answered], dtype=np.int64),
                np.array([query.score for query in answered], dtype=np.float64),
                np.ones(len(answered), dtype=np.int64),
                np.zeros(len(answered), dtype=bool),
            )
    return found


def _colors(pool: Pool, classes: Sequence[str]) -> Sequence[tuple[int, int, int]]:
    """Return the colours of the classes: those of the pool's label space, if it has one."""
    space = getattr(pool, "label_space", None)
    if isinstance(space, LabelSpace) and space.classes == tuple(classes):
        return space.colors
    return [distinct_color(place) for place in range(len(classes))]


def _no_label(image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
    raise AssertionError(f"{image_id} was not asked about")

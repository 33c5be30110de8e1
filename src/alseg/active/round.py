"""A round between two trainings, on all ranks: choose, ask, label, commit."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alseg.active.annotators import Annotator
from alseg.active.candidates import Candidates, Clipped
from alseg.active.choosing import choose_regions
from alseg.active.labelling import label_regions
from alseg.active.people import Answers, People
from alseg.config.budget import Budget
from alseg.data.base import SegmentationDataset
from alseg.distributed import ranks
from alseg.errors import AnswersNeeded, LabelStoreError
from alseg.labels import RoundResult
from alseg.labels.store import LabelStore
from alseg.queries.asked_checks import check_settings
from alseg.queries.asked_files import open_round
from alseg_strategies import Strategy


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
        clipped: ``last`` or ``any``: when windows that the border clips are asked for.
        left: What was due and could not be chosen, because no region was left.
    """

    number: int
    rounds: int
    store: LabelStore
    budget: Budget
    radius: int
    exclusion_radius: int
    scope: str
    settings: Mapping[str, Any]
    clipped: Clipped = "last"
    left: int = field(default=0, init=False)
    _guesses: dict[int, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)

    def choose(
        self,
        scored: Iterable[tuple[int, Tensor, Tensor]],
        kept: dict[int, Tensor],
        keep: Collection[int] = (),
        people: People | None = None,
    ) -> dict[int, Candidates]:
        """Return the regions to ask for in the images of this rank, by pool index.

        Args:
            scored: Pool index, score map H×W and logits C×H×W of the images of this rank.
            kept: Takes up the score maps of some images.
            keep: The pool indices of these.
            people: Who will answer, if people do; what they have skipped is not chosen again.

        Raises:
            LabelStoreError: The images scored are not those of the pool, or the store is damaged.
            ScoreError: The strategy returned something that pixels cannot be ranked by.
        """
        logits = torch.empty(0)
        skipped = people.skipped(self.number) if people is not None else {}

        def maps() -> Iterator[tuple[int, Tensor]]:
            nonlocal logits
            for index, score, shown in scored:
                logits = shown
                if index in keep:
                    kept[index] = score.cpu()
                yield index, score

        def guess(index: int, candidates: Candidates) -> None:
            at = np.stack([candidates.rows, candidates.columns])
            rows, columns = torch.from_numpy(at).to(logits.device)
            self._guesses[index] = logits[:, rows, columns].argmax(0).cpu().numpy()

        choice = choose_regions(
            maps(),
            self.store,
            budget=self.budget,
            round_number=self.number,
            rounds=self.rounds,
            radius=self.radius,
            exclusion_radius=self.exclusion_radius,
            scope=self.scope,
            clipped=self.clipped,
            gather=ranks.gather,
            clicks_per_region=self._clicks_per_region(people),
            also_excluded=lambda image: [(q.row, q.column) for q in skipped.get(image, [])],
            on_candidates=guess if people is not None else None,
        )
        if choice.left > self.budget.region_cost(self.radius) / 2:
            self.left = round(choice.left)
        return choice.regions

    def _clicks_per_region(self, people: People | None) -> float:
        """Return how many answers a region will take: as many as those so far."""
        if self.store.regions:
            return float(self.store.spent("clicks").sum() / self.store.regions)
        return people.clicks_expected(self.radius) if people is not None else 1.0

    def ask(
        self, people: People, pool: SegmentationDataset, regions: Mapping[int, Candidates]
    ) -> None:
        """Write the chosen regions of all ranks out as queries; without any it does nothing.

        Raises:
            AnswersNeeded: They are written; nothing else can be done before they are answered.
            LabelStoreError: They cannot be written.
        """
        mine = {index: (part, self._guesses[index][: len(part)]) for index, part in regions.items()}
        everyone = {index: part for rank in ranks.gather(mine) for index, part in rank.items()}
        if not everyone:
            return
        said = ""
        if ranks.is_first():
            said = people.ask(self.number, pool, everyone, self.radius, self.settings)
            if self.left:
                unit = "pixels" if self.budget.unit == "pixels" else "regions"
                said += (
                    f" The pool is exhausted: {self.left:,} {unit} of what is due could not be "
                    "found. A smaller --exclusion-radius leaves more."
                )
        raise AnswersNeeded(ranks.gather(said)[0])

    def is_asked(self, people: People) -> bool:
        """Return whether the queries of the round are written, as the first rank sees it."""
        asked: bool = ranks.gather(people.has_asked(self.number))[0]
        return asked

    def take(self, people: People) -> RoundResult:
        """Take in what people have answered, and commit the round.

        Raises:
            AnswersMissing: Queries are not answered.
            FolderInUse: The labelling page is open.
            LabelStoreError: Queries or answers are damaged, or the store cannot be written.
        """
        with ExitStack() as stack:
            with ranks.together():
                settled = None
                if ranks.is_first():
                    stack.enter_context(people.closed(self.number))
                    settled = people.read(self.number)
                answers = Answers(open_round(people.run, self.number), ranks.gather(settled)[0])
            order = {image.id: index for index, image in enumerate(self.store.images)}
            return self.label(answers, ranks.share_of(answers.regions(order)))

    def label(self, annotator: Annotator | None, regions: Mapping[int, Candidates]) -> RoundResult:
        """Have the regions of this rank labelled, and commit the round.

        Args:
            annotator: Who answers; None where no rank has a region.
            regions: The regions of this rank, by pool index.

        Raises:
            LabelStoreError: It cannot be written; the store is as before.
        """
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
                    clicks=annotator.clicks if isinstance(annotator, Answers) else None,
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
        return RoundResult.of(self.number, records, self.left, self.budget.unit)


def take_answers(store: LabelStore, people: People) -> RoundResult | None:
    """Commit the round that people have answered outside of a training, if one is open.

    Args:
        store: The label store.
        people: Who was asked.

    Returns:
        What the round came to; None if no round is open.

    Raises:
        AlsegError: As ``Round.take`` does.
    """
    number = store.rounds + 1
    if not people.has_asked(number):
        return None
    settings = open_round(people.run, number).settings
    check_settings(settings)
    return Round(
        number=number,
        rounds=number,
        store=store,
        budget=Budget.parse(settings["budget"]),
        radius=settings["radius"],
        exclusion_radius=settings["exclusion_radius"],
        scope=settings["scope"],
        settings=settings,
    ).take(people)


def described(strategy: Strategy, name: str) -> dict[str, Any]:
    """Return what is written down about a strategy: its name and its options."""
    options = {
        option: value
        for option, value in vars(strategy).items()
        if isinstance(value, str | int | float | bool) and option not in ("level", "requires")
    }
    return {"strategy": name, "strategy_options": options}


def spread(length: int, count: int, ranks: int) -> list[int]:
    """Return the indices of a few images, spread over a pool, that the first rank scores.

    Args:
        length: Number of images in the pool.
        count: How many to return; of a small pool, fewer.
        ranks: Number of ranks, which take turns.
    """
    there = math.ceil(length / ranks)
    count = min(count, there)
    return [ranks * ((2 * place + 1) * there // (2 * count)) for place in range(count)]

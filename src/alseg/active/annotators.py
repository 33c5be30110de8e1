"""Who answers the queries of a round: one verb for known labels, people and scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from alseg.data.checks import check_headers
from alseg.data.label_space import IGNORE
from alseg.distributed import ranks
from alseg.errors import DatasetError
from alseg.labels.candidates import Candidates

if TYPE_CHECKING:
    from torch import Tensor

    from alseg.active.choosing import Questions
    from alseg.data.base import Pool, SegmentationDataset


@dataclass(frozen=True)
class Answers:
    """What a round was answered.

    Attributes:
        regions: The regions of this rank that were answered, by pool index.
        label: Returns the labels of a named image, H×W uint8; 255 is void. It is given the pixels
            asked for now, H×W; the values of others do not count.
        clicks: Returns how many answers a named image took; None: one per region.
        left: What was due and could not be chosen because no region was left, in the budget's unit.
        scores: The score maps that were kept, H×W, by pool index.
    """

    regions: Mapping[int, Candidates]
    label: Callable[[str, NDArray[np.bool_]], NDArray[np.uint8]]
    clicks: Callable[[str], int] | None = None
    left: int = 0
    scores: Mapping[int, Tensor] = field(default_factory=dict)


class Annotator:
    """Answers what a round asks; a script overrides ``label``.

    Attributes:
        name: What manifests call it.
        run: The folder of the run that it belongs to; None where there is none.
        declines: Whether regions may come back without an answer and are not charged then.
        calls: The names of the methods of the pool, besides ``size``, that it calls.
    """

    name: str = "script"
    run: Path | None = None
    declines: bool = False
    calls: Sequence[str] = ()

    def answer(self, questions: Questions) -> AbstractContextManager[Answers]:
        """Answer a round; the answers are committed in the body of the ``with`` statement.

        Every rank calls it.

        Args:
            questions: What is asked. It is chosen when the annotator looks at it, so that one that
                has its answers already needs no scores.

        Raises:
            AnswersNeeded: Nobody can answer now; the run ends here until somebody has.
        """
        return self._answer_at_once(questions)

    @contextmanager
    def _answer_at_once(self, questions: Questions) -> Iterator[Answers]:
        with ranks.together():
            choice = questions.choose()
        yield Answers(choice.regions, self.label, left=choice.left, scores=choice.scores)

    def label(self, image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the labels of an image, H×W; 255 for void and for pixels not asked for.

        Args:
            image_id: Name of the image in the pool.
            asked: The pixels asked for now, H×W; those of earlier rounds are not among them.
        """
        raise NotImplementedError

    def follow(self, pool: Pool) -> None:
        """Look for the images of all rounds where the pool has them now."""

    def effort(self) -> dict[str, float]:
        """Return what all rounds took of people, by name; nothing where that is not measured."""
        return {}

    def check(self, number: int) -> None:
        """Check, before anything is computed, that a round which is asked already is answered.

        Args:
            number: The round that is due.

        Raises:
            AnswersMissing: It is not.
        """


class OracleAnnotator(Annotator):
    """Answers from labels that exist already, as research does to measure a strategy.

    Only the pixels asked for leave the oracle, so nothing downstream can see another label.
    """

    name = "oracle"
    calls = ("label",)

    def __init__(self, lookup: Callable[[str], NDArray[np.uint8]]) -> None:
        """Answer from ``lookup``, which returns the whole H×W label of a named image."""
        self._lookup = lookup

    @classmethod
    def from_dataset(cls, dataset: Pool) -> OracleAnnotator:
        """Answer from the labels of a data set, which its method ``label`` returns.

        Raises:
            DatasetError: The data set has no labels, or one does not fit its image.
        """
        labelled = cast("SegmentationDataset", dataset)
        if not getattr(dataset, "has_labels", True):
            raise DatasetError(
                f"The oracle annotator needs labels, and the {labelled.split} split of "
                f"{labelled.name} has none. Use a data set with labels or another annotator."
            )
        if hasattr(dataset, "check_label"):
            check_headers(labelled, labels=True)
        index = {image_id: position for position, image_id in enumerate(dataset.ids)}
        return cls(lambda image_id: labelled.label(index[image_id]))

    def label(self, image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the labels of the pixels asked for, H×W; 255 elsewhere.

        Raises:
            DatasetError: The label has another size than the image.
        """
        label = self._lookup(image_id)
        if label.shape != asked.shape:
            raise DatasetError(
                f"The label of {image_id} is {label.shape}, its image {asked.shape} (height, "
                "width). Both must have the same size."
            )
        return np.where(asked, label, np.uint8(IGNORE))

"""Who answers the queries of a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from alseg.data.checks import check_headers
from alseg.data.label_space import IGNORE
from alseg.errors import DatasetError

if TYPE_CHECKING:
    from alseg.data.base import SegmentationDataset


class Annotator(Protocol):
    """Gives labels for the pixels that a round asks for."""

    def answer(self, image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the labels of an image, H×W; 255 for void and for pixels not asked for.

        Args:
            image_id: Name of the image in the pool.
            asked: The pixels asked for now, H×W; those of earlier rounds are not among them.
        """


class OracleAnnotator:
    """Answers from labels that exist already, as research does to measure a strategy.

    Only the pixels asked for leave the oracle, so nothing downstream can see another label.
    """

    def __init__(self, lookup: Callable[[str], NDArray[np.uint8]]) -> None:
        """Answer from ``lookup``, which returns the whole H×W label of a named image."""
        self._lookup = lookup

    @classmethod
    def from_dataset(cls, dataset: SegmentationDataset) -> OracleAnnotator:
        """Answer from the labels of a data set.

        Raises:
            DatasetError: The data set has no labels, or one does not fit its image.
        """
        if not dataset.has_labels:
            raise DatasetError(
                f"The oracle annotator needs labels, and the {dataset.split} split of "
                f"{dataset.name} has none. Use a data set with labels or another annotator."
            )
        check_headers(dataset, labels=True)
        index = {image_id: position for position, image_id in enumerate(dataset.ids)}
        return cls(lambda image_id: dataset.label(index[image_id]))

    def answer(self, image_id: str, asked: NDArray[np.bool_]) -> NDArray[np.uint8]:
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

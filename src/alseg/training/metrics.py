"""Segmentation quality from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from alseg.data.label_space import IGNORE, LabelSpace, load_label_space


@dataclass(frozen=True)
class SegmentationScores:
    """What a confusion matrix says of a segmentation.

    The matrix counts pixels over the whole data set before anything is divided, which is how the
    Cityscapes benchmark does it; a mean over images or batches is a different number.

    Attributes:
        confusion: C×C counts; rows are the truth, columns the prediction. Void pixels are not in.
    """

    confusion: Tensor

    @property
    def iou(self) -> Tensor:
        """Intersection over union per class in [0, 1]; NaN for a class that never occurs."""
        matrix = self.confusion.double()
        hits = matrix.diagonal()
        return hits / (matrix.sum(0) + matrix.sum(1) - hits)

    @property
    def miou(self) -> float:
        """Mean of ``iou`` over the classes that occur in the truth or in the prediction."""
        return float(torch.nanmean(self.iou))

    @property
    def accuracy(self) -> float:
        """Share of the labelled pixels whose class is right; NaN when there are none."""
        matrix = self.confusion.double()
        return float(matrix.diagonal().sum() / matrix.sum())

    @property
    def most_frequent(self) -> int:
        """The class that most pixels of the truth have; the first of several."""
        return int(self.confusion.sum(1).argmax())

    @property
    def miou_of_most_frequent(self) -> float:
        """``miou`` of predicting the most frequent class everywhere; NaN without labelled pixels.

        Its IoU is its share of the pixels, and that of the other classes in the truth is 0.
        """
        pixels = self.confusion.sum(1).double()
        return float(pixels.max() / pixels.sum() / (pixels > 0).sum())

    def miou_over(self, indices: Sequence[int]) -> float:
        """Mean of ``iou`` over some classes, such as the 13 of mIoU* on SYNTHIA."""
        return float(torch.nanmean(self.iou[list(indices)]))

    def as_dict(self, space: LabelSpace) -> dict[str, float]:
        """Return the figures by name: ``mIoU``, ``accuracy`` and ``IoU/CLASS``.

        On the 16 classes of SYNTHIA there is also ``mIoU*``, over the 13 that older papers report.
        """
        figures = {"mIoU": self.miou, "accuracy": self.accuracy}
        if space.name == "synthia16":
            figures["mIoU*"] = self.miou_over(space.ids(load_label_space("synthia13").classes))
        figures.update(
            (f"IoU/{name}", float(value))
            for name, value in zip(space.classes, self.iou, strict=True)
        )
        return figures


class SegmentationMetric(MulticlassConfusionMatrix):
    """Counts pixels over a data set, and computes the figures of their scores by name.

    Args:
        space: The classes.

    Attributes:
        scores: What was computed last, over all ranks; None before.
    """

    def __init__(self, space: LabelSpace) -> None:
        super().__init__(len(space), ignore_index=IGNORE, validate_args=False)
        self.space = space
        self.scores: SegmentationScores | None = None

    # A metric may compute figures by name; torchmetrics types the matrix's as one tensor.
    def compute(self) -> dict[str, float]:  # type: ignore[override]
        """Return the figures of ``SegmentationScores.as_dict``."""
        self.scores = SegmentationScores(super().compute().cpu())
        return self.scores.as_dict(self.space)

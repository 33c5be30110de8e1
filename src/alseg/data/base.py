"""What every data set looks like to the rest of the library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alseg.data.label_space import IGNORE, LabelSpace
from alseg.data.value_range import Pixels, ValueRange, displayed
from alseg.errors import DatasetError


class Pool(Protocol):
    """What `ActiveLoop` needs of the images that labels may be asked for.

    The oracle also calls ``label(index)``, which returns the class numbers H×W uint8, 255 for void.
    People are shown ``display(index)``, else ``image(index)``, RGB H×W×3 uint8; where there is an
    ``image``, a few also count for what makes two trainings the same run. Where there is a
    ``file(index)``, nothing is written among the images. `SegmentationDataset` has all of these.

    Attributes:
        ids: One unique name per image, safe as a relative path.
    """

    @property
    def ids(self) -> Sequence[str]:
        """One unique name per image, safe as a relative path."""

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of an image in pixels, which are those of its label."""


class SegmentationDataset(ABC):
    """Images of one split of one domain, with labels where there are any.

    Opening a data set decodes no image, so thousands of images open in well under a second.

    Attributes:
        name: What the data set is called in reports, such as ``cityscapes``.
        split: ``train``, ``val`` or ``test``.
        label_space: The classes that the labels of this data set are given in.
        ids: One unique name per image, safe as a relative path; it may contain ``/``.
        has_labels: Whether ``label`` can be asked for.
        channels: How many channels every image has.
    """

    channels: int = 3
    name: str
    split: str
    label_space: LabelSpace
    ids: Sequence[str]
    has_labels: bool

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels without decoding the image."""

    @abstractmethod
    def image(self, index: int) -> Pixels:
        """Return the image as the network takes it, H×W×C: uint8, or float32 from 0 to 1.

        Three channels are red, green and blue.

        Raises:
            DatasetError: The file cannot be read as such an image.
        """

    def display(self, index: int) -> NDArray[np.uint8]:
        """Return the image as people are shown it: RGB of 8 bits, H×W×3.

        Raises:
            DatasetError: The file cannot be read as such an image.
        """
        return displayed(self.image(index))

    def file(self, index: int) -> Path | None:
        """Return the file of the image; None where it is no file that other programs can open."""
        return None

    def turned(self, index: int) -> bool:
        """Return whether tags in the file turn the image; its label has to be turned, too."""
        return False

    @property
    def values(self) -> ValueRange | None:
        """The range that images of more than 8 bits per channel are scaled from; None without."""
        return None

    @abstractmethod
    def label(self, index: int) -> NDArray[np.uint8]:
        """Return the train ids, H×W; 255 is void.

        Raises:
            DatasetError: The data set has no labels, or this label cannot be used.
        """

    def check_label(self, index: int) -> None:  # noqa: B027 - what is not in files cannot differ
        """Check that a label fits its image, without decoding either.

        Raises:
            DatasetError: It does not, or cannot be read.
        """

    def preload(self) -> None:  # noqa: B027 - most data sets have nothing to do
        """Make repeated reading cheap; called before loading processes are started.

        Data sets on disk do nothing: the operating system keeps the files that are read often.
        """

    def _no_labels(self) -> DatasetError:
        return DatasetError(
            f"The {self.split} split of {self.name} has no labels: its images can be scored, "
            "predicted and labelled by people, but not used as a source, by the oracle annotator "
            "or for evaluation."
        )


def file_of(images: Pool, index: int) -> Path | None:
    """Return the file of an image; None where it is no file that other programs can open."""
    file: Path | None = images.file(index) if hasattr(images, "file") else None
    return file


class RelabelledDataset(SegmentationDataset):
    """A data set whose labels are given in the classes of another label space."""

    def __init__(self, dataset: SegmentationDataset, label_space: LabelSpace) -> None:
        """Match the classes by name; those that ``label_space`` lacks become void.

        Raises:
            DatasetError: The spaces share no class.
        """
        self._dataset = dataset
        self._table = dataset.label_space.table_to(label_space)
        self.name = dataset.name
        self.split = dataset.split
        self.label_space = label_space
        self.ids = dataset.ids
        self.has_labels = dataset.has_labels
        self.channels = dataset.channels

    @property
    def classes_lost(self) -> tuple[str, ...]:
        """The data's own classes that the label space lacks; their pixels are void."""
        own = self._dataset.label_space.classes
        return tuple(name for name, id_ in zip(own, self._table, strict=False) if id_ == IGNORE)

    @property
    def classes_offered(self) -> tuple[str, ...]:
        """The classes of the label space that the data's own classes become."""
        reached = set(self._table.tolist())
        return tuple(name for id_, name in enumerate(self.label_space.classes) if id_ in reached)

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of the image."""
        return self._dataset.size(index)

    def image(self, index: int) -> Pixels:
        """Return the image as the network takes it, H×W×C."""
        return self._dataset.image(index)

    def file(self, index: int) -> Path | None:
        """Return the file of the image, if there is one."""
        return self._dataset.file(index)

    def turned(self, index: int) -> bool:
        """Return whether tags in the file turn the image."""
        return self._dataset.turned(index)

    @property
    def values(self) -> ValueRange | None:
        """The range that images of more than 8 bits per channel are scaled from; None without."""
        return self._dataset.values

    def label(self, index: int) -> NDArray[np.uint8]:
        """Return the train ids of the new label space, H×W; 255 is void."""
        relabelled: NDArray[np.uint8] = self._table[self._dataset.label(index)]
        return relabelled

    def check_label(self, index: int) -> None:
        """Check that a label fits its image, without decoding either."""
        self._dataset.check_label(index)

    def preload(self) -> None:
        """Make repeated reading cheap."""
        self._dataset.preload()

"""The data set whose images and labels are files, decoded one at a time when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alseg.data.base import SegmentationDataset
from alseg.data.channels import read_any_header
from alseg.data.files import Pair
from alseg.data.images import Header, read_header
from alseg.data.label_files import SAVE_AS_GREY, label_header, read_label
from alseg.data.label_space import IGNORE
from alseg.data.mapping import LabelMapping
from alseg.data.value_range import (
    Pixels,
    ValueRange,
    check_channels_of,
    range_of,
    read_pixels,
)
from alseg.errors import DatasetError


class FileDataset(SegmentationDataset):
    """Pairs of files, decoded one at a time when asked for."""

    def __init__(
        self,
        name: str,
        split: str,
        pairs: Sequence[Pair],
        mapping: LabelMapping,
        read_values: Callable[[Path], NDArray[np.integer]] | None = None,
        void_assumed: bool = False,
        scale: ValueRange | None = None,
        all_images: Callable[[], Sequence[Path]] | None = None,
        channels: int | None = None,
    ) -> None:
        """Take over the pairs that an adapter found.

        Args:
            name: What the data set is called in reports.
            split: ``train``, ``val`` or ``test``.
            pairs: The images; either all or none of them with a label file.
            mapping: From the values in the label files to train ids.
            read_values: Reads the values of a label file, H×W; None for PNGs with one channel.
            void_assumed: Whether nobody wrote down that 255 is void. Labels that hold 0 and 255
                alone are then refused.
            scale: The range that values of more than 8 bits per channel are scaled from.
            all_images: Finds the images whose common range is taken where ``scale`` is None;
                without both, images of more than 8 bits are refused.
            channels: How many channels every image has; None reads all as RGB.
        """
        self.name = name
        self.split = split
        self.label_space = mapping.space
        self.ids = [pair.id for pair in pairs]
        self.has_labels = bool(pairs) and all(pair.label is not None for pair in pairs)
        self._pairs = pairs
        self._mapping = mapping
        self._read_values = read_values or self._read_png
        self._void_assumed = void_assumed
        self.channels = channels or 3
        self._exactly = channels
        self._scale = scale
        self._all_images = all_images
        self._values: ValueRange | None = None
        self._headers: dict[int, Header] = {}
        self._checked: set[int] = set()
        self._more_than_black_and_white: bool | None = None

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width from the header of the image file, which is read once."""
        header = self._header(index)
        return header.height, header.width

    def image(self, index: int) -> Pixels:
        """Decode the image, H×W×C: uint8 as it is stored, float32 from 0 to 1 where it is deep."""
        path = self._pairs[index].image
        values = self._range() if self._header(index).deep else None
        return read_pixels(path, values, self._exactly)

    def turned(self, index: int) -> bool:
        """Return whether EXIF or TIFF tags turn the image."""
        return self._header(index).turned

    def _header(self, index: int) -> Header:
        if index not in self._headers:
            path = self._pairs[index].image
            header = read_any_header(path)
            if self._exactly is not None:
                check_channels_of(path, header.channels, self._exactly)
            self._headers[index] = header
        return self._headers[index]

    @property
    def values(self) -> ValueRange | None:
        """The range that values are scaled from, if an image has more than 8 bits."""
        if self._values is None and any(map(self._is_deep, range(len(self)))):
            with suppress(DatasetError):  # Raised again where the image is read.
                return self._range()
        return self._values

    def _is_deep(self, index: int) -> bool:
        try:
            return self._header(index).deep
        except DatasetError:  # Raised again where the image is read.
            return False

    def _range(self) -> ValueRange:
        if self._values is None:
            if self._scale is None and self._all_images is None:
                raise DatasetError(
                    f"{self.name} {self.split} has images of more than 8 bits per channel, which "
                    "its publisher does not ship. Convert them to 8 bits, or describe the data "
                    "by `folder:`, which takes a `scale`."
                )
            own = self._scale
            if own is None and self._all_images is not None:
                own = range_of((*self._all_images(),), self._exactly)
            self._values = own or ValueRange(0, 1)
        return self._values

    def preload(self) -> None:
        """Find the range of the values before every loading process looks for it."""
        _ = self.values

    def file(self, index: int) -> Path:
        """Return the absolute path of the image file, without ``..``."""
        image = self._pairs[index].image.absolute()
        # Where a link is on the way, only the system knows what is above it.
        return image.parent.resolve() / image.name if ".." in image.parts else image

    def label(self, index: int) -> NDArray[np.uint8]:
        """Decode the label file and return its train ids, H×W; 255 is void.

        Raises:
            DatasetError: There are no labels; the label is of another size than the image, or
                holds values that are not in the mapping.
        """
        pair = self._pairs[index]
        if not self.has_labels or pair.label is None:
            raise self._no_labels()
        values = self._read_values(pair.label)
        # As the file is now: between opening and reading it may have been replaced.
        image = read_any_header(pair.image)
        _check_orientation(pair, image)
        _check_shape(pair, image, (values.shape[0], values.shape[1]))
        ids = self._mapping(values, str(pair.label))
        if self._void_assumed and (ids == IGNORE).any() and not self._holds_class(ids):
            self._check_void_is_meant(pair.label)
        return ids

    def check_label(self, index: int) -> None:
        """Check by the headers, once, that the label is of the size of its image."""
        pair = self._pairs[index]
        if index in self._checked or pair.label is None:
            return
        image, label = self._header(index), label_header(pair.label)
        _check_orientation(pair, image)
        _check_shape(pair, image, (label.height, label.width))
        self._checked.add(index)

    def _read_png(self, label: Path) -> NDArray[np.integer]:
        remedy = SAVE_AS_GREY
        if len(self.label_space) == 2:
            remedy = f"Write `{self._mapping.black_and_white}` if white is a class. {remedy}"
        return read_label(label, self._mapping.allowed, remedy)

    def _holds_class(self, ids: NDArray[np.uint8]) -> bool:
        return bool(((ids > 0) & (ids < IGNORE)).any())

    def _check_void_is_meant(self, label: Path) -> None:
        """Refuse masks of black and white, unless another label of the split is more than that."""
        if self._more_than_black_and_white is None:
            self._more_than_black_and_white = any(map(self._is_more, self._pairs))
        if not self._more_than_black_and_white:
            raise DatasetError(
                f"{label} holds no value but 0 and 255, like all labels of {self.name} "
                f"{self.split}, and without a `mapping` 255 is void. If it is a class, write "
                f"`{self._mapping.black_and_white}`; if it is void, `{self._mapping.written}`."
            )

    def _is_more(self, pair: Pair) -> bool:
        try:
            assert pair.label is not None
            return self._holds_class(self._mapping(self._read_values(pair.label), str(pair.label)))
        except DatasetError:
            return False


def _check_orientation(pair: Pair, image: Header) -> None:
    """Refuse a label whose tags turn it otherwise than its image's tags turn that."""
    assert pair.label is not None
    label = read_header(pair.label)
    if label.turned and label.orientation != image.orientation:
        raise DatasetError(
            f"The EXIF tags of {pair.label} turn it (orientation {label.orientation}), but its "
            f"image {pair.image} is of orientation {image.orientation}. Save the label as it is to "
            "be looked at, without an orientation."
        )


def _check_shape(pair: Pair, image: Header, shape: tuple[int, int]) -> None:
    if shape != (image.height, image.width):
        raise DatasetError(
            f"{pair.label} is {shape[1]}x{shape[0]} pixels (width x height), "
            f"but its image {pair.image} is {image.width}x{image.height}.{_turn_hint(image)} "
            "Export the label at the size of the image, or take the pair out of the data."
        )


def _turn_hint(image: Header) -> str:
    if not image.by_a_quarter:
        return ""
    return (
        " The image is turned by a quarter, as its EXIF or TIFF tags say; the label has to be "
        "turned, too."
    )

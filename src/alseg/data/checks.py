"""What can be known of images before anyone trains: sizes from headers, and labels that teach."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import IGNORE
from alseg.data.value_range import counted
from alseg.errors import ConfigError, DatasetError

log = logging.getLogger("alseg")

_LOOKED_AT = 200
_STRETCHED = 1.05

Size = tuple[int, int]
"""Height and width in pixels."""


def check_headers(images: SegmentationDataset, *, labels: bool) -> list[Size]:
    """Return the sizes of all images, after a check that their labels are of the same sizes.

    Args:
        images: A data set; nothing of it is decoded.
        labels: Whether to look at the labels too, where there are any.

    Raises:
        DatasetError: A file cannot be read, or a label is of another size than its image.
    """
    if labels and images.has_labels:
        for index in range(len(images)):
            images.check_label(index)
    return [images.size(index) for index in range(len(images))]


def check_channels(parts: Mapping[str, SegmentationDataset | None]) -> None:
    """Check that one network can take all images.

    Args:
        parts: The data sets of a run by what they are for, such as ``source``.

    Raises:
        DatasetError: They differ in their number of channels.
    """
    found = {what: images for what, images in parts.items() if images is not None}
    if len({images.channels for images in found.values()}) > 1:
        listed = ", ".join(
            f"{counted(images.channels)} in the {what} ({images.name} {images.split})"
            for what, images in found.items()
        )
        raise DatasetError(
            f"The images differ in their number of channels: {listed}. A network takes one: give "
            "both domains the same `channels` in the YAML files of the data."
        )


def check_training_sizes(
    ids: Sequence[str], sizes: Sequence[Size], size: Size | None, crop: Size | None, what: str
) -> None:
    """Check that images of some sizes make batches.

    Args:
        ids: The names of the images.
        sizes: Their heights and widths.
        size: What they are resized to; None keeps their sizes.
        crop: What is cut out of them after that; None takes them whole.
        what: What to call them in an error, such as ``target``.

    Raises:
        ConfigError: They differ in size where they must not, or a crop does not fit.
    """
    if size is not None or not sizes:
        return
    if crop is not None:
        small = [place for place, own in enumerate(sizes) if own[0] < crop[0] or own[1] < crop[1]]
        if small:
            raise ConfigError(
                f"A crop of {_written(crop)} (height x width) does not fit into {len(small)} of "
                f"{len(sizes)} {what} images: {ids[small[0]]} is {_written(sizes[small[0]])}. "
                f"Use a smaller --crop, a training size, such as --size {_written(crop)}, or take "
                f"{'it' if len(small) == 1 else 'them'} out of the data."
            )
        return
    for image_id, own in zip(ids, sizes, strict=True):
        if own != sizes[0]:
            raise ConfigError(
                f"The {what} images differ in size: {ids[0]} is {_written(sizes[0])}, {image_id} "
                f"is {_written(own)} (height x width). Give one training size, such as "
                "--size 512x1024, or a crop."
            )


def say_stretched(ids: Sequence[str], sizes: Sequence[Size], size: Size | None, what: str) -> None:
    """Warn, once per process, where a training size changes the aspect of images."""
    if size is None or not sizes:
        return

    def stretch(own: Size) -> float:
        ratio = (size[1] / size[0]) / (own[1] / own[0])
        return max(ratio, 1 / ratio)

    stretched = sum(stretch(own) > _STRETCHED for own in sizes)
    if not stretched:
        return
    worst = max(range(len(sizes)), key=lambda place: stretch(sizes[place]))
    height, width = sizes[worst]
    fitting = (size[0], max(1, round(size[0] * width / height)))
    _say_once(
        f"The training size {_written(size)} (height x width) distorts {stretched} of {len(sizes)} "
        f"{what} images: {ids[worst]} is {_written((height, width))}, so what it shows gets "
        f"{stretch(sizes[worst]):.2f} times as {'wide' if fitting[1] < size[1] else 'narrow'}. "
        f"{_written(fitting)} keeps its shape."
    )


def check_teaches(images: SegmentationDataset, what: str) -> None:
    """Check that labels to train on have a pixel of some class; usually one label is decoded.

    Args:
        images: Labelled images, of which up to 200 are looked at, evenly spread.
        what: What to call them in an error, such as ``source``.

    Raises:
        DatasetError: All that was looked at is void.
    """
    count = len(images)
    looked_at = min(count, _LOOKED_AT)
    for place in range(looked_at):
        if (images.label(place * count // looked_at) != IGNORE).any():
            return
    if looked_at:
        raise DatasetError(nothing_to_learn(f"{what} {images.name}", looked_at, count))


def nothing_to_learn(what: str, looked_at: int, count: int) -> str:
    """Return in words that labels hold void alone."""
    of = f"{looked_at} labels, evenly spread over all {count:,}," if looked_at < count else "labels"
    return (
        f"All pixels of the {of} of the {what} are void, so there is nothing to learn from them. "
        "Check the label files, the `mapping` and the label space."
    )


@functools.cache
def _say_once(words: str) -> None:
    log.warning(words)


def _written(size: Size) -> str:
    return f"{size[0]}x{size[1]}"

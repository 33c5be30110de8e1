"""What a label store knows about an image: its place in the pool and what a round gave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from alseg.errors import LabelStoreError

MOST_PIXELS = 1 << 30
"""Pixels of the largest image that is believed to be one."""


@dataclass(frozen=True)
class PoolImage:
    """An image of the pool.

    Attributes:
        id: Its name, unique and safe as a relative path; it may contain ``/``.
        height: Height in pixels.
        width: Width in pixels.
    """

    id: str
    height: int
    width: int

    def __post_init__(self) -> None:
        check_name(self.id)
        check_size(self.id, self.height, self.width)

    @property
    def area(self) -> int:
        """Pixels in it."""
        return self.height * self.width


@dataclass(frozen=True)
class ImageRecord:
    """What one image got in one round.

    Attributes:
        id: Name of the image.
        regions: Regions asked for.
        asked: Pixels asked for that were not asked for before.
        void: How many of these are void.
        clicks: Answers that they took: one a region, and more for those that were split.
        digests: SHA-256 of each file, by the folder it lies in.

    Raises:
        LabelStoreError: The name cannot be a path inside the label store, or a count is no count.
    """

    id: str
    regions: int
    asked: int
    void: int
    clicks: int
    digests: dict[str, str]

    def __post_init__(self) -> None:
        check_name(self.id)
        counts = (self.regions, self.asked, self.void, self.clicks)
        if not all(type(count) is int and 0 <= count <= MOST_PIXELS for count in counts):
            raise LabelStoreError(f"The counts of {self.id} are invalid.")
        if not isinstance(self.digests, dict):
            raise LabelStoreError(f"The digests of {self.id} are missing.")


@dataclass(frozen=True)
class RoundResult:
    """What a round asked for, over all processes.

    Attributes:
        number: The round.
        regions: Regions asked for in this round.
        asked_pixels: Pixels asked for in this round, void ones among them.
        void_pixels: How many of these are void.
        shortfall: What could not be asked for by now because no region was left, in ``unit``; 0
            if the budget was kept.
        unit: ``pixels``, ``regions`` or ``clicks``.
        images: What each image with new regions got, in pool order.
    """

    number: int
    regions: int
    asked_pixels: int
    void_pixels: int
    shortfall: int
    unit: str
    images: tuple[ImageRecord, ...]

    @classmethod
    def of(
        cls, number: int, images: Sequence[ImageRecord], shortfall: int = 0, unit: str = "pixels"
    ) -> RoundResult:
        """Return the result of a round from what its images got."""
        return cls(
            number=number,
            regions=sum(record.regions for record in images),
            asked_pixels=sum(record.asked for record in images),
            void_pixels=sum(record.void for record in images),
            shortfall=shortfall,
            unit=unit,
            images=tuple(images),
        )


def check_name(name: object) -> None:
    """Check that the name of an image is safe as a relative path, also on other systems.

    Names come back from files that may have been made elsewhere, so it is for all of them.

    Raises:
        LabelStoreError: It is not.
    """
    if isinstance(name, str) and name.isprintable() and "\\" not in name:
        path = PurePosixPath(name)
        unsafe = path.is_absolute() or ".." in path.parts or bool(PureWindowsPath(name).anchor)
        if path.parts and str(path) == name and not unsafe:
            return
    raise LabelStoreError(
        f"The image name {name!r:.200} cannot be a path inside the label store. "
        "Use a relative name without '..', backslashes or control characters."
    )


def check_size(name: str, height: object, width: object) -> None:
    """Check that two numbers can be the height and width of an image.

    Raises:
        LabelStoreError: They cannot.
    """
    sides = [side for side in (height, width) if isinstance(side, int) and side is not True]
    if len(sides) < 2 or min(sides) < 1 or sides[0] * sides[1] > MOST_PIXELS:
        raise LabelStoreError(
            f"The image {name} is listed as {height!r:.20} by {width!r:.20} pixels, which no image "
            "has. Restore the file from a copy."
        )


def check_pool(known: Sequence[PoolImage], given: Sequence[PoolImage], remedy: str) -> None:
    """Check that two pools are the same.

    Raises:
        LabelStoreError: They differ; the message names the first difference and the remedy.
    """
    by_id = {image.id: image for image in given}
    for image in known:
        if image.id not in by_id:
            raise LabelStoreError(
                f"The pool lacks the image {image.id} that the label store knows. {remedy}"
            )
        other = by_id[image.id]
        if image != other:
            raise LabelStoreError(
                f"The image {image.id} was {image.height}x{image.width} when the label store was "
                f"created; now it is {other.height}x{other.width}. {remedy}"
            )
    extra = set(by_id) - {image.id for image in known}
    if extra:
        raise LabelStoreError(
            f"The pool has the image {min(extra)} that the label store does not know. {remedy}"
        )
    if [image.id for image in given] != [image.id for image in known]:
        raise LabelStoreError(f"The pool has its images in another order than before. {remedy}")

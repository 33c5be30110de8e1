"""What a data set holds, for a look before anyone trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alseg.data.base import RelabelledDataset, SegmentationDataset
from alseg.data.label_space import IGNORE
from alseg.data.value_range import ValueRange
from alseg.errors import DatasetError

_SIZES_SHOWN = 3
_PROBLEMS_SHOWN = 5
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class DatasetSummary:
    """Counts over one split of a data set.

    Attributes:
        name: The data set.
        split: ``train``, ``val`` or ``test``.
        classes: The classes of its label space.
        count: Number of images.
        examined: Number of images that were decoded.
        labelled_images: Number of examined images with a usable label.
        sizes: Number of examined images by (height, width) in pixels.
        class_pixels: Pixels of each class, C.
        void_pixels: Pixels that are void.
        turned: Number of examined images that EXIF or TIFF tags turn.
        lost: Classes of the data itself that its label space lacks.
        absent: Classes that the labels could hold, and of which no pixel was found.
        values: The range that images of more than 8 bits per channel are scaled from.
        problems: What was wrong with images or labels, one message each.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    count: int
    examined: int
    labelled_images: int
    sizes: Counter[tuple[int, int]]
    class_pixels: NDArray[np.int64]
    void_pixels: int
    turned: int
    lost: tuple[str, ...]
    absent: tuple[str, ...]
    values: ValueRange | None
    problems: tuple[str, ...]

    @property
    def labelled_pixels(self) -> int:
        """Pixels of the usable labels, void or not."""
        return int(self.class_pixels.sum()) + self.void_pixels

    @property
    def class_shares(self) -> NDArray[np.float64]:
        """Share of each class among the pixels of the usable labels, C; NaN without labels."""
        pixels = float(self.labelled_pixels) or np.nan
        return self.class_pixels / pixels

    @property
    def void_share(self) -> float:
        """Share of void among the pixels of the usable labels; NaN without labels."""
        return self.void_pixels / (self.labelled_pixels or np.nan)


def describe(
    dataset: SegmentationDataset,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetSummary:
    """Decode images and labels and count what they hold.

    Files that cannot be used are listed as problems instead of ending the count.

    Args:
        dataset: What to look at.
        limit: Decode at most so many images, evenly spread over the data set; None takes all.
        progress: Called after each image with the number done and the number to do.
    """
    count = len(dataset)
    examined = count if limit is None else max(0, min(limit, count))
    chosen = [position * count // examined for position in range(examined)]
    sizes: Counter[tuple[int, int]] = Counter()
    histogram = np.zeros(IGNORE + 1, dtype=np.int64)
    labelled = turned = 0
    problems = []
    for done, index in enumerate(chosen, start=1):
        try:
            height, width = dataset.image(index).shape[:2]
            sizes[height, width] += 1
            turned += dataset.turned(index)
            if dataset.has_labels:
                histogram += np.bincount(dataset.label(index).ravel(), minlength=IGNORE + 1)
                labelled += 1
        except DatasetError as problem:
            problems.append(str(problem))
        if progress is not None:
            progress(done, examined)
    relabelled = dataset if isinstance(dataset, RelabelledDataset) else None
    space = dataset.label_space
    offered = relabelled.classes_offered if relabelled else space.classes
    return DatasetSummary(
        name=dataset.name,
        split=dataset.split,
        classes=dataset.label_space.classes,
        count=count,
        examined=examined,
        labelled_images=labelled,
        sizes=sizes,
        class_pixels=histogram[: len(dataset.label_space)],
        void_pixels=int(histogram[IGNORE]),
        turned=turned,
        lost=relabelled.classes_lost if relabelled else (),
        absent=tuple(name for name in offered if not histogram[space.classes.index(name)]),
        values=dataset.values,
        problems=tuple(problems),
    )


def format_table(summaries: Sequence[DatasetSummary]) -> str:
    """Write summaries side by side as a text table, then what was wrong with their files."""
    rows = [["", *(f"{summary.name} {summary.split}" for summary in summaries)]]
    rows.append(["images", *(str(summary.count) for summary in summaries)])
    if any(summary.examined < summary.count for summary in summaries):
        rows.append(["looked at", *(str(summary.examined) for summary in summaries)])
    rows.append(["with labels", *(str(summary.labelled_images) for summary in summaries)])
    rows.append(["height x width", *(_sizes(summary) for summary in summaries)])
    classes = dict.fromkeys(name for summary in summaries for name in summary.classes)
    for name in classes:
        rows.append([name, *(_share(summary, name) for summary in summaries)])
    rows.append(["void", *(_percent(summary.void_share) for summary in summaries)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    notes: dict[str, list[str]] = {}
    for summary in summaries:
        for note in _notes(summary):
            notes.setdefault(note, []).append(f"{summary.name} {summary.split}")
    lines += [f"\n{', '.join(where)}: {note}" for note, where in notes.items()]
    for summary in summaries:
        lines += _problem_lines(summary)
    return "\n".join(lines)


def _sizes(summary: DatasetSummary) -> str:
    shown = [f"{height}x{width}" for (height, width), _ in summary.sizes.most_common(_SIZES_SHOWN)]
    hidden = len(summary.sizes) - len(shown)
    return ", ".join(shown) + (f" and {hidden} more" if hidden else "") or "-"


def _share(summary: DatasetSummary, name: str) -> str:
    if name not in summary.classes:
        return "-"
    return _percent(float(summary.class_shares[summary.classes.index(name)]))


def _percent(share: float) -> str:
    if np.isnan(share):
        return "-"
    return f"{share:.1%}" if share == 0 or share >= 0.001 else f"{share:.4%}"


def _notes(summary: DatasetSummary) -> list[str]:
    """Say what a table does not show: how images are read, and labels that teach little."""
    notes = []
    if summary.values is not None:
        source = "as its `scale` says" if summary.values.strict else "the range of all its images"
        keep = ""
        if not summary.values.strict:
            low, high = summary.values.written
            keep = f" `scale: [{low:.6g}, {high:.6g}]` keeps it so."
        notes.append(f"values are scaled from {summary.values} to 0 to 1, {source}.{keep}")
    if summary.turned:
        notes.append(
            f"{summary.turned} of {summary.examined} images are turned by their EXIF or TIFF tags; "
            "labels have to be drawn on what is seen then."
        )
    if summary.lost and summary.labelled_pixels:
        notes.append(f"void because the label space lacks them: {', '.join(summary.lost)}.")
    if summary.void_share >= _NEARLY_ALL:
        notes.append(
            f"{_percent(summary.void_share)} of the labelled pixels are void. "
            "Check the `mapping` and the label files."
        )
    elif summary.absent and summary.labelled_pixels:
        notes.append(f"no pixel is of class {', '.join(summary.absent)}.")
    return notes


def _problem_lines(summary: DatasetSummary) -> list[str]:
    if not summary.problems:
        return []
    shown = summary.problems[:_PROBLEMS_SHOWN]
    lines = ["", f"{summary.name} {summary.split}: {len(summary.problems)} files cannot be used"]
    lines += [f"  {problem}" for problem in shown]
    if len(summary.problems) > len(shown):
        lines.append(f"  and {len(summary.problems) - len(shown)} more")
    return lines

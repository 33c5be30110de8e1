"""What ``summary.json`` says of a run: ``alseg fit`` writes it here, and everybody reads it here.

A run that has not ended lacks parts. Comparisons read runs of any age, so what is missing or of
another kind is unknown to them, never an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from alseg.config.labelling_cost import CLICK_SECONDS

BEFORE, AFTER, BEST = "before", "after", "best"
"""The evaluations: of the start, of the last checkpoint and of the one that validation chose."""

LABELS = "labels"
MOST_FREQUENT = "most_frequent"
SECONDS = "seconds"
WANDB_ID, WANDB_STEP = "wandb_id", "wandb_step"

OF_WANDB: Mapping[str, type] = {WANDB_ID: str, WANDB_STEP: int}
"""The entries that are no part of the run: under what and where it goes on there."""

MIOU = "mIoU"
MIOU_13 = "mIoU*"
"""The mean over the 13 classes of SYNTHIA."""

IOU = "IoU/"
"""What the IoU of a class begins with; its name follows."""

START, TRAINING, ASKING, ANALYSIS, EVALUATION = (
    "source start",
    "training",
    "asking for labels",
    "analysis",
    "evaluation",
)

PHASES = (START, TRAINING, ASKING, ANALYSIS, EVALUATION)
"""The phases of a run that seconds are counted for."""

_PEAK = "peak_memory_of_{}_mib"
_PEAKS = re.compile(_PEAK.format("(.*)"))


@dataclass(frozen=True)
class Evaluation:
    """What was measured on the reported images.

    Attributes:
        figures: Every figure by its name; None for a class that never occurs. Empty without such
            images.
    """

    figures: Mapping[str, Any]

    @property
    def measured(self) -> bool:
        """Whether there is an mIoU."""
        return self.figures.get(MIOU) is not None

    @property
    def miou(self) -> float | None:
        """The mean IoU, in [0, 1]."""
        return number(self.figures.get(MIOU))

    @property
    def iou(self) -> dict[str, float | None]:
        """The IoU of every class, in [0, 1]; None for one that never occurs."""
        return {
            name.removeprefix(IOU): value
            for name, value in self.figures.items()
            if name.startswith(IOU)
        }

    @property
    def shares(self) -> dict[str, Any]:
        """All means and IoUs as the file has them, which should be numbers in [0, 1]."""
        return {k: v for k, v in self.figures.items() if k.startswith((MIOU, IOU))}


@dataclass(frozen=True)
class MostFrequent:
    """What predicting the most frequent class everywhere reaches.

    Attributes:
        number: The number of the class.
        miou: The mean IoU, in [0, 1].
    """

    number: int
    miou: float


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a run asked for; None is unknown.

    Attributes:
        answers: Answers that people gave; None where an oracle answered.
        timed: How many of these were timed.
        seconds: How long these took together.
        regions: Regions that were asked for.
        clicks: Answers that were charged.
        asked_pixels: Pixels of the regions.
        void_pixels: How many of these are void.
        labelled_fraction: Share of the pool's pixels that were asked for.
        shortfall: What of the budget was not spent, with its unit; empty if nothing.
    """

    answers: float | None = None
    timed: float | None = None
    seconds: float | None = None
    regions: int | None = None
    clicks: int | None = None
    asked_pixels: int | None = None
    void_pixels: int | None = None
    labelled_fraction: float | None = None
    shortfall: str | None = None

    @property
    def share(self) -> float | None:
        """Share of the pool's pixels that were asked for."""
        return number(self.labelled_fraction)

    @property
    def charged(self) -> float | None:
        """Answers that the labels took; one per region where clicks were not counted."""
        clicks = number(self.clicks)
        return number(self.regions) if clicks is None else clicks

    def seconds_per_click(self, otherwise: float = CLICK_SECONDS) -> float:
        """Return the mean time of the answers that people were timed at.

        Args:
            otherwise: Seconds per click where nobody was timed.
        """
        timed, seconds = number(self.timed), number(self.seconds)
        return seconds / timed if timed and seconds is not None else otherwise


@dataclass
class RunSummary:
    """The figures of a run.

    Attributes:
        content: What the file holds, in the order in which it came in.
    """

    content: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the content of the file."""
        return (json.dumps(self.content, indent=2) + "\n").encode()

    @classmethod
    def decode(cls, text: str) -> RunSummary:
        """Return what ``encode`` was called on.

        Raises:
            RecursionError, ValueError: It is not JSON, or not figures by the name of a part of the
                run.
        """
        known = json.loads(text)
        if not isinstance(known, dict):
            raise ValueError(f"expected figures by name, got {known!r:.60}")
        for part, figures in known.items():
            if part in OF_WANDB and isinstance(figures, OF_WANDB[part]):
                continue
            if not isinstance(figures, dict):
                raise ValueError(f"{part}: expected figures by name, got {figures!r:.60}")
            for name, figure in figures.items():
                if part != LABELS and not isinstance(figure, int | float | None):
                    raise ValueError(f"{part}: {name}: expected a number, got {figure!r:.60}")
        return cls(known)

    @property
    def before(self) -> Evaluation | None:
        """Figures of the network that training under the protocol starts from."""
        return self._evaluation(BEFORE)

    @before.setter
    def before(self, measured: Evaluation) -> None:
        self.content[BEFORE] = dict(measured.figures)

    @property
    def after(self) -> Evaluation | None:
        """Figures of the last checkpoint; None for a run that has not ended."""
        return self._evaluation(AFTER)

    @after.setter
    def after(self, measured: Evaluation) -> None:
        self.content[AFTER] = dict(measured.figures)

    @property
    def best(self) -> Evaluation | None:
        """Figures of the checkpoint that validation chose."""
        return self._evaluation(BEST)

    @best.setter
    def best(self, measured: Evaluation) -> None:
        self.content[BEST] = dict(measured.figures)

    def _evaluation(self, part: str) -> Evaluation | None:
        figures = self.content.get(part)
        if figures is None:
            return None
        return Evaluation(figures if isinstance(figures, Mapping) else {})

    @property
    def finished(self) -> bool:
        """Whether start and end are evaluated, so that nothing is left to do."""
        return self.before is not None and self.after is not None

    @property
    def most_frequent(self) -> MostFrequent | None:
        """What predicting the most frequent class everywhere reaches."""
        known = self.content.get(MOST_FREQUENT)
        return None if known is None else MostFrequent(known["class"], known[MIOU])

    @most_frequent.setter
    def most_frequent(self, reached: MostFrequent) -> None:
        self.content[MOST_FREQUENT] = {"class": reached.number, MIOU: reached.miou}

    @property
    def labels(self) -> Labels | None:
        """What was asked for; None for a run that asks for nothing or has not ended."""
        known = self.content.get(LABELS)
        if not isinstance(known, Mapping):
            return None
        return Labels(**{entry.name: known.get(entry.name) for entry in fields(Labels)})

    @labels.setter
    def labels(self, spent: Labels) -> None:
        known = asdict(spent)
        self.content[LABELS] = {name: value for name, value in known.items() if value is not None}

    @property
    def shares(self) -> dict[str, Any]:
        """The figures that a comparison rests on, as the file has them: numbers in [0, 1]."""
        after, labels = self.after, self.labels
        share = None if labels is None else labels.labelled_fraction
        return {**({} if after is None else after.shares), "labelled_fraction": share}

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of every phase."""
        return _numbers(self.content.get(SECONDS))

    def add_seconds(self, spent: Mapping[str, float]) -> None:
        """Add seconds to those of their phases."""
        seconds = dict(self.content.get(SECONDS, {}))
        for phase, more in spent.items():
            seconds[phase] = round(seconds.get(phase, 0.0) + more, 2)
        self.content[SECONDS] = seconds

    @property
    def peaks(self) -> dict[str, dict[str, float]]:
        """The peaks of memory in MiB by phase, for each kind of memory."""
        found = {part: _PEAKS.fullmatch(part) for part in sorted(self.content)}
        return {kind[1]: _numbers(self.content[part]) for part, kind in found.items() if kind}

    def add_peaks(self, phase: str, peaks: Mapping[str, float]) -> None:
        """Keep the peaks of a phase, in MiB by the kind of memory, where they are the highest."""
        for kind, peak in peaks.items():
            known = self.content.setdefault(_PEAK.format(kind), {})
            known[phase] = max(known.get(phase, 0.0), round(peak, 1))

    @property
    def wandb_id(self) -> str | None:
        """The run's id on Weights & Biases."""
        return self.content.get(WANDB_ID)

    @wandb_id.setter
    def wandb_id(self, identity: str) -> None:
        self.content[WANDB_ID] = identity

    @property
    def wandb_step(self) -> int:
        """The step that the run goes on from there."""
        return int(self.content.get(WANDB_STEP, 0))

    @wandb_step.setter
    def wandb_step(self, step: int) -> None:
        self.content[WANDB_STEP] = step

    def figures(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the figures of evaluations and labels: part, name and value."""
        for part in (BEFORE, AFTER, BEST, LABELS):
            for name, value in self.content.get(part, {}).items():
                yield part, name, value


def number(value: Any) -> float | None:
    """Return a figure of a file that may hold anything; None where it is no number."""
    return float(value) if isinstance(value, int | float) else None


def _numbers(figures: Any) -> dict[str, float]:
    if not isinstance(figures, Mapping):
        return {}
    return {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}

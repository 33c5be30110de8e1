"""A run of the command that is killed at a point that was drawn beforehand.

The points are calls of functions, counted over the run: the process signals itself, unless told
otherwise with SIGKILL, before or after the n-th call, or in the middle of a file that is being
written.
"""

import json
import os
import signal
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.helpers.processes import alseg

PLACES = {
    "scoring": "alseg.training.module:SegmentationModule.signals",
    "selection": "alseg.labels.regions.windows:Windows.candidates",
    "storing": "alseg.labels.staged:write_durably",
    "archiving": "alseg.labels.staged:write_archive",
    "commit": "alseg.storage.whole_folder:sync_folder",
    "training": "alseg.training.module:SegmentationModule.training_step",
    "checkpoint": "alseg.runs.checkpoint:DurableCheckpoints.save_checkpoint",
    "replacing": "pathlib:Path.replace",
    "renaming": "pathlib:Path.rename",
    "summary": "alseg.runs.folder:RunFolder.record",
    "analysis": "alseg.runs.round_analysis:RoundAnalysis._sums",
    "predicting": "alseg.training.module:SegmentationModule.probabilities",
    "testing": "alseg.training.module:SegmentationModule.test_step",
}


@dataclass(frozen=True)
class Point:
    """A moment of a run.

    Attributes:
        place: A key of PLACES.
        call: Which call of that function, from 1.
        moment: "before", "after", or "within" for a file that is written by half.
        rank: The rank that is killed.
        signal: What it is killed with.
    """

    place: str
    call: int
    moment: str
    rank: int = 0
    signal: int = signal.SIGKILL


def count(folder, *arguments):
    """Be the command, and write down how often each place was passed."""
    calls = dict.fromkeys(PLACES, 0)

    def passed(place, function, arguments, options):
        calls[place] += 1
        rank = os.environ.get("RANK", "0")
        Path(folder, f"calls-{rank}.json").write_text(json.dumps(calls))
        return function(*arguments, **options)

    _watch(PLACES, passed)
    alseg(*arguments)


def die(point, *arguments):
    """Be the command until the point is reached."""
    calls = 0

    def passed(place, function, arguments, options):
        nonlocal calls
        calls += 1
        here = calls == point.call and int(os.environ.get("RANK", "0")) == point.rank
        if here and point.moment == "within":
            path, data = arguments
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[: len(data) // 2])
        if here and point.moment != "after":
            os.kill(os.getpid(), point.signal)
        result = function(*arguments, **options)
        if here and point.moment == "after":
            os.kill(os.getpid(), point.signal)
        return result

    _watch([point.place], passed)
    alseg(*arguments)


def _watch(places, passed):
    for place in places:
        module, _, path = PLACES[place].partition(":")
        *owners, name = path.split(".")
        owner = import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        setattr(owner, name, _watched(place, getattr(owner, name), passed))


def _watched(place, function, passed):
    return lambda *arguments, **options: passed(place, function, arguments, options)

"""The files that a run writes and that others read: each has its schema in one module."""

import ast
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import alseg
from alseg.config.settings import all_settings
from alseg.runs import run_provenance, run_summary
from alseg.runs.round_evidence import RoundEvidence
from alseg.runs.run_provenance import Checkout, Images, RunProvenance, Start
from alseg.runs.run_summary import PHASES, Evaluation, Labels, MostFrequent, RunSummary

EVIDENCE = {
    "format": 1,
    "round": 3,
    "classes": ["road", "sky"],
    "rim": 12.5,
    "images": [{"id": "a/b", "panels": {"score": "round-003/a/b.score.jpg"}}],
    "sums": {"picked_classes": [4.0, 6.0], "picked_void": [1.0]},
}

SUMMARY = """\
{
  "wandb_id": "12ab34cd",
  "wandb_step": 1050,
  "most_frequent": {
    "class": 1,
    "mIoU": 0.125
  },
  "before": {
    "mIoU": 0.25,
    "IoU/road": 0.25,
    "IoU/sky": null
  },
  "peak_memory_of_process_mib": {
    "training": 2048.4
  },
  "seconds": {
    "training": 11.0,
    "asking for labels": 4.25
  },
  "labels": {
    "answers": 12,
    "timed": 10,
    "seconds": 25.0,
    "regions": 11,
    "clicks": 14,
    "asked_pixels": 99,
    "void_pixels": 0,
    "labelled_fraction": 0.01,
    "shortfall": ""
  },
  "after": {
    "mIoU": 0.5
  },
  "best": {
    "mIoU": 0.75
  }
}
"""

PROVENANCE = """\
{
  "starts": [
    {
      "time": "2025-01-31T12:00:00+00:00",
      "command": [
        "alseg",
        "fit"
      ],
      "directory": "/here",
      "versions": {
        "python": "3.12.1",
        "torch": null
      },
      "checkout": {
        "commit": "abc",
        "changed": false,
        "diff_sha256": null
      },
      "platform": "Linux",
      "devices": [
        "cpu: Example 9, 2 threads"
      ],
      "data": {
        "pool": {
          "name": "nuclei",
          "split": "train",
          "images": 5,
          "ids_and_sizes_sha256": "def"
        }
      },
      "weights": null,
      "init_from": {
        "name": "none"
      }
    }
  ]
}
"""


def test_evidence_that_is_read_is_written_again_byte_for_byte():
    text = json.dumps(EVIDENCE) + "\n"
    found = RoundEvidence.decode(text, lambda name: name)
    assert (found.number, found.classes, found.rim) == (3, ("road", "sky"), 12.5)
    assert found.images == (("a/b", {"score": "round-003/a/b.score.jpg"}),)
    assert np.array_equal(found.sums["picked_classes"], [4, 6])
    assert found.encode().decode() == text


@pytest.mark.parametrize("name", ["format", "round", "classes", "rim", "images", "sums"])
def test_everything_in_the_file_of_a_round_is_needed(name):
    text = json.dumps({key: value for key, value in EVIDENCE.items() if key != name})
    with pytest.raises(KeyError, match=name):
        RoundEvidence.decode(text, str)


def test_a_summary_is_written_as_it_always_was():
    run = RunSummary()
    run.wandb_id, run.wandb_step = "12ab34cd", 1050
    run.most_frequent = MostFrequent(1, 0.125)
    run.before = Evaluation({"mIoU": 0.25, "IoU/road": 0.25, "IoU/sky": None})
    run.add_peaks("training", {"process": 2048.44})
    run.add_peaks("training", {"process": 1000.0})
    run.add_seconds({"training": 6.0, "asking for labels": 4.254})
    run.add_seconds({"training": 5.0})
    run.labels = Labels(
        answers=12,
        timed=10,
        seconds=25.0,
        regions=11,
        clicks=14,
        asked_pixels=99,
        void_pixels=0,
        labelled_fraction=0.01,
        shortfall="",
    )
    run.after, run.best = Evaluation({"mIoU": 0.5}), Evaluation({"mIoU": 0.75})
    assert run.encode().decode() == SUMMARY
    assert RunSummary.decode(SUMMARY) == run


def test_what_a_summary_says_is_read():
    run = RunSummary.decode(SUMMARY)
    assert run.finished
    assert (run.wandb_id, run.wandb_step) == ("12ab34cd", 1050)
    assert (run.before.miou, run.after.miou, run.best.miou) == (0.25, 0.5, 0.75)
    assert run.before.iou == {"road": 0.25, "sky": None}
    assert run.most_frequent == MostFrequent(1, 0.125)
    assert (run.labels.share, run.labels.charged) == (0.01, 14)
    assert run.labels.seconds_per_click() == 2.5
    assert run.seconds == {"training": 11.0, "asking for labels": 4.25}
    assert run.peaks == {"process": {"training": 2048.4}}
    assert run.shares == {"mIoU": 0.5, "labelled_fraction": 0.01}


def test_nothing_is_known_of_a_run_that_has_just_begun():
    run = RunSummary.decode("{}")
    assert not run.finished
    assert run.before is run.after is run.best is run.labels is run.most_frequent is None
    assert (run.wandb_id, run.wandb_step, run.seconds, run.peaks) == (None, 0, {}, {})


def test_of_a_damaged_summary_a_comparison_reads_what_is_left():
    damaged = {"after": [], "before": {"mIoU": "high"}, "seconds": {"training": "long", "a": 1}}
    run = RunSummary({**damaged, "labels": {"regions": 7, "timed": 3}})
    assert (run.after.measured, run.before.measured, run.before.miou) == (False, True, None)
    assert run.seconds == {"a": 1}
    assert (run.labels.charged, run.labels.share, run.labels.seconds_per_click(4)) == (7, None, 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", r"expected figures by name, got \[\]"),
        ('{"after": 1}', "after: expected figures by name, got 1"),
        ('{"wandb_id": 1}', "wandb_id: expected figures by name, got 1"),
        ('{"after": {"mIoU": "high"}}', "after: mIoU: expected a number, got 'high'"),
    ],
)
def test_a_damaged_summary_is_not_resumed(text, reason):
    with pytest.raises(ValueError, match=reason):
        RunSummary.decode(text)


def test_provenance_is_written_as_it_always_was():
    start = Start(
        time="2025-01-31T12:00:00+00:00",
        command=["alseg", "fit"],
        directory="/here",
        versions={"python": "3.12.1", "torch": None},
        checkout=Checkout("abc", False, None),
        platform="Linux",
        devices=["cpu: Example 9, 2 threads"],
        data={"pool": Images("nuclei", "train", 5, "def")},
        weights=None,
        init_from={"name": "none"},
    )
    made_with = RunProvenance().and_then(start)
    assert made_with.encode().decode() == PROVENANCE
    again = RunProvenance.decode(PROVENANCE).and_then(start)
    assert [begun["time"] for begun in again.starts] == [start.time] * 2


def test_what_provenance_says_is_read():
    made_with = RunProvenance.decode(PROVENANCE)
    assert (made_with.data_name("pool"), made_with.data_name("source")) == ("nuclei", None)
    assert made_with.first_digests() == {"pool": "def"}


@pytest.mark.parametrize("content", [{}, {"starts": None}, {"starts": [1]}, {"starts": []}])
def test_a_comparison_knows_nothing_of_a_run_without_provenance(content):
    made_with = RunProvenance(content)
    assert made_with.data_name("pool") is None
    assert not any(made_with.starts)


@pytest.mark.parametrize("text", ["[]", "{}", '{"starts": {}}', "half of"])
def test_provenance_that_cannot_be_continued_is_refused(text):
    with pytest.raises((KeyError, TypeError, ValueError)):
        RunProvenance.decode(text)


KEYS = {
    *json.loads(SUMMARY),
    *PHASES,
    *(entry.name for kind in (Labels, Start, Images, Checkout) for entry in fields(kind)),
    *("starts", "mIoU", "mIoU*"),
} - {"name", "split", "images", *(setting.name for setting in all_settings())}
"""Those of summary and provenance that nothing else is called."""


def looked_up(source):
    """Return the texts that a module looks up by, and those that it asks for with ``in``."""
    for node in ast.walk(ast.parse(source)):
        found = []
        if isinstance(node, ast.Subscript):
            found = [node.slice]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            (".get", ".setdefault")
        ):
            found = node.args[:1]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            found = [node.left]
        yield from (part.value for part in found if isinstance(part, ast.Constant))


def test_nothing_but_the_schema_looks_a_key_up():
    assert {"before", "labels", "clicks", "versions"} <= KEYS
    assert list(looked_up('a["x"]; a.get("y", 1); "z" in a; f("u")')) == ["x", "y", "z"]
    own = {Path(module.__file__) for module in (run_summary, run_provenance)}
    rooms = [Path(alseg.__file__).parent / room for room in ("runs", "compare", "sweep")]
    found = {
        (path.name, key)
        for path in {path for room in rooms for path in room.rglob("*.py")} - own
        for key in looked_up(path.read_text(encoding="utf-8"))
        if key in KEYS
    }
    assert found == set()

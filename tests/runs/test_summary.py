import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.helpers.toys import Toy

from alseg.config.labelling_cost import in_words
from alseg.config.run import RunConfig
from alseg.runs.folder import RunFolder
from alseg.runs.run_summary import RunSummary
from alseg.runs.summary import start_warning, summary_text

CLASSES = ("left", "right", "bottom")

LABELS = {
    "regions": 1200,
    "clicks": 1200,
    "asked_pixels": 10_800,
    "void_pixels": 12,
    "labelled_fraction": 0.01,
    "shortfall": "",
}


def summary(tmp_path, *, labels=None, before=0.25, constant=0.15, **settings):
    figures = {f"IoU/{name}": 0.5 for name in CLASSES}
    known = {
        "before": {"mIoU": before, **figures},
        "after": {"mIoU": 0.5, **figures},
        "most_frequent": {"class": 1, "mIoU": constant},
        "seconds": {"training": 8.0},
        "labels": {**LABELS, **(labels or {})},
    }
    return summary_text(RunFolder(tmp_path, RunSummary(known)), RunConfig(**settings), Toy(3))


def test_the_labels_are_priced_at_the_assumed_time_where_nobody_was_timed(tmp_path):
    # 1,200 clicks of 3 s.
    text = summary(tmp_path)
    assert "for a person: 1,200 clicks x 3.0 s = 1 h 00 min (3.0 s per click assumed" in text


def test_they_are_priced_at_the_measured_time_where_people_were_timed(tmp_path):
    # 100 answers in 150 s; 1,200 clicks of 1.5 s.
    effort = {"answers": 1200, "timed": 100, "seconds": 150.0}
    text = summary(tmp_path, labels=effort, annotator="manual")
    assert "1,200 clicks x 1.5 s = 30 min (1.5 s per click as measured on the page)" in text


def test_masks_of_whole_images_are_counted_in_images_and_not_priced(tmp_path):
    kept = {"regions": 3, "clicks": 3, "shortfall": "2 images"}
    text = summary(tmp_path, labels=kept, region="image", budget="5 images")
    assert "labels asked for: 3 images, 10,800 pixels" in text
    assert "no time is assumed for it" in text
    assert "2 images of the budget were not spent. Only a larger pool has more images" in text
    assert not re.search("click|window|exclusion", text)


def test_only_an_oracles_clicks_are_said_to_ignore_mixed_windows(tmp_path):
    said = "clicks count one per window, also where a window contains several classes"
    assert said in summary(tmp_path)
    effort = {"answers": 1200, "timed": 0, "seconds": 0.0}
    assert said not in summary(tmp_path, labels=effort, annotator="manual")


@pytest.mark.parametrize(("before", "warned"), [(0.1, True), (0.15, False), (0.3, False)])
def test_a_start_below_one_class_everywhere_is_warned_of(tmp_path, before, warned):
    text = summary(tmp_path, before=before)
    assert re.search(r"constant +15\.0 %  \(right everywhere, the most frequent class\)", text)
    words = "The start reaches 10.0 % mIoU, no more than right everywhere does (15.0 %)."
    assert (words in text) == warned


def test_nobody_is_advised_to_do_what_the_run_does_already():
    figures = {"before": {"mIoU": 0.1}, "most_frequent": {"class": 0, "mIoU": 0.2}}
    known = RunSummary(figures)
    assert "--strategy random" in start_warning(known, RunConfig(strategy="halo"), CLASSES)
    assert "--strategy random" not in start_warning(known, RunConfig(strategy="random"), CLASSES)
    assert not start_warning(known, RunConfig(protocol="fully_supervised"), CLASSES)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (29.4, "29 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 00 min"),
        (3 * 3600 + 300, "3 h 05 min"),
        (41 * 3600, "41 h"),
        (1500 * 3600, "1,500 h"),
    ],
)
def test_a_time_in_words(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["cells", "nuclei"], "cells-nuclei-halo-DATE"),
        (["nuclei"], "nuclei-halo-DATE"),
        (["my cells/2024: *", "..."], "my_cells_2024-data-halo-DATE"),
        (["a::b", "ü" * 90], f"a_b-{'ü' * 24}-halo-DATE"),
    ],
)
def test_a_run_is_named_after_its_data(monkeypatch, names, folder):
    now = SimpleNamespace(now=lambda: SimpleNamespace(strftime=lambda pattern: "DATE"))
    monkeypatch.setattr("alseg.config.run_files.datetime", now)
    path = RunFolder.of(RunConfig(strategy="halo", source="folder:data.yaml"), names).path
    assert path == Path("runs") / folder

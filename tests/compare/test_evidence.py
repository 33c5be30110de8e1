"""What the report makes of rounds that are damaged, lack or do not fit."""

import json
from html import escape

import pytest
from tests.helpers.evidence import write_evidence
from tests.helpers.report_page import WRONG, change_sums, page_of
from tests.helpers.runs import write_matrix, write_run


def test_runs_without_analysis_still_make_a_report(tmp_path):
    text, page = page_of(write_matrix(tmp_path))
    assert "wrote nothing down about their rounds" in text
    assert "Correlations over the classes" not in page.tables


def test_an_analysis_that_cannot_be_read_is_told(tmp_path):
    run = write_run(tmp_path / "a")
    write_evidence(run, 1)
    write_evidence(run, 2)
    (run / "analysis/round-002.json").write_text('{"format": 1, "round": 2')
    (run / "analysis/round-003.json").write_text('{"format": 9}')
    text, page = page_of(tmp_path)
    assert "round-002.json</code> cannot be read" in text
    assert "it has format 9" in text
    assert f"<code>{run}</code> tells nothing of rounds 2, 3, 4, 5; its rounds are 5." in text
    assert page.tables[WRONG][0][2:] == ["round 1", "all", "lift", "pixels asked"]


@pytest.mark.parametrize("outside", ["../../other/secret.jpg", "/etc/hostname"])
def test_pictures_from_outside_the_run_are_not_taken_into_the_page(tmp_path, outside):
    run = write_run(tmp_path / "a", round_steps=[0])
    write_evidence(run, 1)
    path = run / "analysis/round-001.json"
    content = json.loads(path.read_text())
    content["images"][0]["panels"]["image"] = outside
    path.write_text(json.dumps(content))
    text, _ = page_of(tmp_path)
    assert f"round-001.json</code> cannot be read (its picture {escape(repr(outside))} lies" in text
    assert "<img" not in text


def test_the_class_shares_of_the_pool_are_those_of_the_first_that_tells_them(tmp_path):
    for strategy in ("entropy", "halo"):
        write_evidence(write_run(tmp_path / strategy, strategy=strategy, round_steps=[0]), 1)
    change_sums(tmp_path / "entropy", pool_classes=[], pool_distances=[], picked_distances=[])
    _, page = page_of(tmp_path)
    rows = page.tables["Class share in %: of the pool, and of what was picked in all rounds"]
    assert [row[0] for row in rows[1:]] == ["the pool", "entropy, 1 %", "halo, 1 %"]
    assert rows[1][1:] == ["60.0", "30.0", "10.0", "—"]


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ({"class_pixels": None}, "lacks class_pixels"),
        ({"class_norm": [1.0, 2.0]}, "class_norm should have 3 numbers"),
        ({"picked_distances": [1.0]}, "picked_distances should have 7 numbers"),
    ],
)
def test_damaged_sums_are_told_and_left_out(tmp_path, sums, words):
    for seed in (0, 1):
        run = write_run(tmp_path / f"a{seed}", seed=seed, rounds=1)
        write_evidence(run, 1)
    change_sums(run, **sums)
    text, page = page_of(tmp_path)
    assert words in text
    assert f"<code>{run}</code> tells nothing of round 1; its rounds are 1." in text
    rows = page.tables[WRONG]
    assert rows[1][2:] == ["50.0 (20.0)", "50.0 (20.0)", "2.50", "60"]


def test_a_run_with_other_classes_than_the_first_is_told_and_left_out(tmp_path):
    for seed in (0, 1):
        run = write_run(tmp_path / f"a{seed}", seed=seed, rounds=1)
        write_evidence(run, 1)
    path = run / "analysis/round-001.json"
    content = json.loads(path.read_text())
    content["classes"] = ["road", "sky", "bus"]
    path.write_text(json.dumps(content))
    text, page = page_of(tmp_path)
    assert "round 1 has the classes road, sky, bus" in text
    rows = page.tables[WRONG]
    assert rows[1][2:] == ["50.0 (20.0)", "50.0 (20.0)", "2.50", "60"]


def test_rounds_that_a_run_should_have_are_counted_by_their_steps(tmp_path):
    run = write_run(tmp_path / "a", round_steps=[0, 100])
    for number in (1, 3):
        write_evidence(run, number)
    text, _ = page_of(tmp_path)
    assert (
        f"<code>{run}</code> tells nothing of round 2 and tells of round 3, which it should not "
        "have; its rounds are 2."
    ) in text


def test_figures_of_costs_that_lack_are_dashes(tmp_path):
    path = write_run(tmp_path / "a") / "summary.json"
    content = json.loads(path.read_text())
    content["seconds"] = None
    content["peak_memory_of_process_mib"] = {"training": "much"}
    path.write_text(json.dumps(content))
    _, page = page_of(tmp_path)
    rows = page.tables["Seconds of the machine, means over the seeds"]
    assert rows == [["variant", "budget", "together"], ["random", "1 %", "—"]]

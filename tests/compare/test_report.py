import json
import re

import numpy as np
import pytest
from tests.helpers.evidence import write_evidence, write_whole_matrix
from tests.helpers.report_page import WRONG, change_sums, page_of
from tests.helpers.runs import write_run

from alseg.compare.comparison import compare_runs
from alseg.compare.report.geometry import spread
from alseg.compare.report.shown import shown_points
from alseg.compare.runs import find_runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page_of(write_whole_matrix(tmp_path_factory.mktemp("runs")))


def test_the_page_is_one_small_file_that_asks_for_nothing(whole):
    text, page = whole
    assert len(text.encode()) < 3_000_000
    assert "<script" not in text
    kinds = {re.match(r"#|data:image/jpeg;base64,", link)[0] for link in page.links}
    assert kinds == {"#", "data:image/jpeg;base64,"}
    targets = {link[1:] for link in page.links if link.startswith("#")}
    assert targets <= page.anchors
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text).lower()


def test_every_section_is_there(whole):
    anchors = {"curves", "classes", "picks", "places", "costs", "geometry", "making"}
    assert anchors <= whole[1].anchors


def test_iou_by_class_and_the_share_of_picks(whole):
    tables = whole[1].tables
    rows = {row[0]: row[1:] for row in tables["IoU in %, means over the seeds"]}
    assert rows["halo, 1 %"] == ["48.0"] * 3
    assert rows["fully supervised"] == ["61.0"] * 3
    shares = tables["Class share in %: of the pool, and of what was picked in all rounds"]
    assert shares[1] == ["the pool", "60.0", "30.0", "10.0", "—"]
    # 10, 20 and 24 of 54 with a class, 6 void of 60.
    assert shares[2] == ["random, 1 %", "18.5", "37.0", "44.4", "10.0"]


def test_the_same_images_are_shown_of_every_variant_in_its_first_and_last_round(whole):
    text, _ = whole
    named = re.findall(r'alt="(\w+) of (street/\d)(?:: (\w+), 3 %, seed 0, round (\d))?"', text)
    told = [("score", "1"), ("picks", "1"), ("score", "2"), ("picks", "2"), ("errors", "2")]
    wanted = []
    for image in ("street/0", "street/1"):
        wanted.append(("image", image, "", ""))
        for variant in ("random", "halo"):
            wanted += [(kind, image, variant, number) for kind, number in told]
    assert named == wanted


def test_where_pictures_were_left_behind_that_is_said(tmp_path):
    run = write_run(tmp_path / "r", rounds=1)
    write_evidence(run, 1)
    for path in (run / "analysis").rglob("*.jpg"):
        path.unlink()
    text, _ = page_of(tmp_path)
    assert "The pictures of the rounds are not with these records" in text
    assert "street/0" not in text


def test_precision_is_told_beside_what_random_picks_would_find(whole):
    rows = whole[1].tables[WRONG]
    assert rows[0] == ["variant", "budget", "round 1", "round 2", "all", "lift", "pixels asked"]
    # 60 in each of two rounds of three runs.
    assert rows[1] == ["random", "1 %", *["50.0 ± 0.0 (20.0)"] * 3, "2.50", "360"]


def test_full_supervision_of_other_seeds_is_no_line_in_per_cent_of_itself(tmp_path):
    write_run(tmp_path / "r", iou=0.4, seed=0)
    write_run(tmp_path / "low", iou=0.3, protocol="source_only", seed=0)
    write_run(tmp_path / "top", iou=0.6, protocol="fully_supervised", seed=1)
    text, _ = page_of(tmp_path)
    assert "nan" not in text.lower()


def test_where_there_are_no_pixels_there_are_no_errors_to_draw(tmp_path):
    write_evidence(write_run(tmp_path / "r", rounds=1), 1)
    change_sums(tmp_path / "r", distance_pixels=[9, 9, 9, 9, 9, 9, 0], distance_wrong=[3] * 6 + [0])
    text, _ = page_of(tmp_path)
    title = "What the network had wrong, by distance"
    (chart,) = (part for part in re.findall("<figure>.*?</figure>", text, re.S) if title in part)
    # A mark for each range that has pixels.
    assert len(re.findall("<circle", chart.split("legend")[0])) == 6


def test_nothing_picked_is_no_share_of_anything(tmp_path):
    write_evidence(write_run(tmp_path / "r", rounds=1), 1)
    change_sums(tmp_path / "r", picked_classes=[0, 0, 0], picked_void=[0], picked_distances=[0] * 7)
    text, page = page_of(tmp_path)
    shares = page.tables["Class share in %: of the pool, and of what was picked in all rounds"]
    assert shares[2] == ["random, 1 %", "—", "—", "—", "—"]
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text).lower()


@pytest.fixture
def drawn(monkeypatch):
    """Return what the charts of a report are given, by title: x and y of each curve or group."""
    charts = {}

    def curves(title, given, *labels, **more):
        charts[title] = [[(mark.x, mark.y) for mark in curve.marks] for curve in given]
        return ""

    def groups(title, given, *labels):
        charts[title] = [points for _, _, points in given]
        return ""

    for module in ("places", "geometry"):
        monkeypatch.setattr(f"alseg.compare.report.{module}.distance_chart", curves)
    monkeypatch.setattr("alseg.compare.report.geometry.line_chart", curves)
    monkeypatch.setattr("alseg.compare.report.geometry.scatter_chart", groups)
    return charts


@pytest.fixture
def two_rounds(tmp_path):
    """Return the folder of a run whose second round differs from its first in all it tells."""
    run = write_run(tmp_path / "halo", strategy="halo", rounds=2)
    write_evidence(run, 1, radius=[3.0, 2.0, 1.0])
    write_evidence(run, 2, radius=[4.0, 1.0, 2.0], wrong=0.6)
    counts = [0] * 24
    counts[2], counts[20] = 250, 750
    change_sums(run, 2, picked_distances=[0, 0, 0, 0, 0, 0, 60], radius_counts=counts)
    return tmp_path


def test_distances_and_errors_are_drawn_of_all_rounds(two_rounds, drawn):
    page_of(two_rounds)
    picks, pool = drawn["How far picks lie from class boundaries"]
    # 30, 12, 6, 6, 3, 2, 1 of the first 60, and 60 in the last range.
    assert [y for _, y in picks] == pytest.approx([25, 10, 5, 5, 2.5, 5 / 3, 100 * 61 / 120])
    assert [y for _, y in pool] == pytest.approx([40, 20, 15, 10, 7.5, 5, 2.5])
    assert [x for x, _ in pool] == sorted(x for x, _ in pool)
    (errors,) = drawn["What the network had wrong, by distance"]
    # 20 % before the first round, 60 % before the second.
    assert [y for _, y in errors] == pytest.approx([40] * 7)


def test_the_geometry_is_that_before_the_last_round(two_rounds, drawn):
    page_of(two_rounds)
    (points,) = drawn["hyperbolic radius against class share: halo, 1 %"]
    assert points == [(60, 4, "road"), (30, 1, "sky"), (10, 2, "car")]
    (radii,) = drawn["Hyperbolic radii of all pixels"]
    # 24 equal ranges up to a rim of 12: the middle of the third and of the twenty-first.
    assert [mark for mark in radii if mark[1]] == [(1.25, 25), (10.25, 75)]
    radius, norm = drawn["Spread of radius and norm against distance from class boundaries"]
    # Deviations of 2 around 3 and of 1 around 5.
    assert [y for _, y in radius] == pytest.approx([200 / 3] * 7)
    assert [y for _, y in norm] == pytest.approx([20] * 7)


def test_precision_is_a_mean_over_the_seeds_and_not_over_the_picks(tmp_path):
    for seed, (asked, wrong) in enumerate([(60, 30), (20, 16)]):
        run = write_run(tmp_path / f"a{seed}", seed=seed, rounds=1)
        write_evidence(run, 1)
        change_sums(run, asked=[asked], asked_wrong=[wrong])
    _, page = page_of(tmp_path)
    rows = page.tables[WRONG]
    # 50 % and 80 %: lifts of 2.5 and 4.
    assert rows[1][2:] == ["65.0 ± 21.2 (20.0)"] * 2 + ["3.25", "80"]


def test_costs_are_means_over_the_seeds(whole):
    tables = whole[1].tables
    seconds = tables["Seconds of the machine, means over the seeds"]
    assert seconds[0] == (
        ["variant", "budget", "source start", "evaluation", "training", "asking for labels",
         "together"]
    )  # fmt: skip
    assert seconds[1][2:] == ["50", "10", "100", "—", "160"]
    assert seconds[3][2:] == ["50", "10", "100", "20", "180"]
    labelling = tables["Clicks and hours of labelling, means over the seeds"]
    # 300 clicks of 3 s; from 20 to 52 points in a quarter of an hour.
    assert labelling[2] == ["random", "3 %", "300", "0.25", "128.00"]


def test_what_phases_took_together_is_a_mean_over_the_seeds_that_had_others(tmp_path):
    # The first made its start itself: 160 s of training in all, the others 110.
    for seed in range(3):
        run = write_run(tmp_path / str(seed), protocol="source_only", seed=seed)
        if seed:
            summary = json.loads((run / "summary.json").read_text())
            del summary["seconds"]["source start"]
            (run / "summary.json").write_text(json.dumps(summary))
    _, page = page_of(tmp_path)
    seconds = page.tables["Seconds of the machine, means over the seeds"]
    assert seconds[1][2:] == ["50", "10", "100", f"{(160 + 110 + 110) / 3:.0f}"]


def test_a_click_takes_as_long_as_is_said(tmp_path):
    write_run(tmp_path / "a", regions=1800)
    _, page = page_of(tmp_path, click_seconds=4)
    assert page.tables["Clicks and hours of labelling, means over the seeds"][1][3] == "2.00"


def test_people_who_were_timed_count_as_long_as_they_took(tmp_path):
    path = write_run(tmp_path / "a", regions=1800) / "summary.json"
    content = json.loads(path.read_text())
    # 12 s each of those that were timed; the others were answered in another tool.
    content["labels"].update(clicks=1900, answers=1900, timed=450, seconds=5400.0)
    content["peak_memory_of_process_mib"] = {"training": 2048.4}
    path.write_text(json.dumps(content))
    _, page = page_of(tmp_path)
    row = page.tables["Clicks and hours of labelling, means over the seeds"][1]
    assert row[2:4] == ["1,900", "6.33"]
    memory = page.tables["Peak memory of the process in MiB, means over the seeds"]
    assert memory == [["variant", "budget", "training"], ["random", "1 %", "2,048"]]


def test_the_radius_is_held_against_share_accuracy_and_entropy(whole):
    rows = whole[1].tables["Correlations over the classes"]
    found = {tuple(row[:3]): row[3:] for row in rows[1:]}
    # Radii 3, 2, 1; accuracies 0.9, 0.8, 0.2: the deviations give 0.7 / sqrt(2 * 0.8600 / 3).
    assert found["halo, 3 %", "hyperbolic radius", "accuracy"] == ["3", "+0.92", "+1.00"]
    assert found["halo, 3 %", "hyperbolic radius", "entropy"][2] == "-1.00"
    # Norms 5, 7, 6 rank 1, 3, 2 against shares that rank 3, 2, 1.
    assert found["random, 3 %", "Euclidean norm", "share of the pixels"][2] == "-0.50"
    assert ("random, 3 %", "hyperbolic radius", "accuracy") not in found


def test_saturation_is_told_where_there_is_a_rim(whole):
    rows = whole[1].tables["Saturation at the rim of the ball"]
    # (600 * 3 + 300 * 2 + 100) / 1000
    assert rows[1:] == [["halo, 3 %", "2.50", "12.00", "1.00 %"]]


def test_what_differs_between_runs_is_listed_and_the_rest_once(tmp_path):
    write_run(tmp_path / "a", provenance={"commit": "abc", "versions": {"torch": "2.6"}})
    write_run(tmp_path / "b", seed=1, steps=700, provenance={"commit": "abd", "time": 3})
    text, page = page_of(tmp_path)
    rows = {row[3]: row[4] for row in page.tables["Every run"]}
    assert rows["0"] == "steps=600; commit=abc; versions.torch=2.6"
    assert rows["1"] == "steps=700; commit=abd"
    assert "<li>batch_size: 8</li>" in text
    assert "Not all runs are comparable:" in text


def test_what_people_named_is_text_and_nothing_else(tmp_path):
    run = write_run(tmp_path / "<b>a", name="<i>x")
    write_evidence(run, 1, names=["<script>alert(1)</script>"])
    text, _ = page_of(tmp_path)
    assert "<script" not in text
    assert "<b>" not in text
    assert "<i>" not in text


def test_variants_are_shown_at_the_budget_that_most_of_them_have(tmp_path):
    budgets = {"random": ["0.01", "0.03"], "halo": ["0.01", "0.03", "0.05"], "ripu": ["0.1"]}
    for strategy, shares in budgets.items():
        for share in shares:
            write_run(tmp_path / f"{strategy}{share}", strategy=strategy, budget=share)
    comparison = compare_runs(find_runs([tmp_path]))
    names = ["random, 3 %", "halo, 3 %", "ripu, 10 % (the nearest to 3 %)"]
    assert list(shown_points(comparison)) == names


def test_the_spread_is_that_within_runs():
    pixels = np.array([2.0])
    near = {"distance_pixels": pixels, "distance_norm": np.array([6.0])}
    far = {"distance_pixels": pixels, "distance_norm": np.array([18.0])}
    # 1 and 5: a deviation of 2 around 3; 7 and 11: one of 2 around 9.
    near["distance_norm_squares"], far["distance_norm_squares"] = (
        np.array([26.0]),
        np.array([170.0]),
    )
    assert spread([near, far], "norm") == pytest.approx([(2 / 3 + 2 / 9) / 2])


def test_a_variant_has_one_colour_in_all_charts(whole):
    text, _ = whole
    entries = re.findall(r'(?:stroke|fill)="(#\w+)"[^<]*/></svg>(random|halo|fully)', text)
    colours = {name: {colour for colour, of in entries if of == name} for _, name in entries}
    assert {name: len(found) for name, found in colours.items()} == (
        {"random": 1, "halo": 1, "fully": 1}
    )
    assert len(entries) > 8
    assert "mIoU in per cent of full supervision against clicks" in text


def test_digests_are_short_and_whole_where_pointed_at(tmp_path):
    digests = {seed: f"{seed}123456789abcdef" * 4 for seed in (0, 1)}
    for seed, digest in digests.items():
        made = {"data": {"sha256": digest}, "weights": {"sha256": "ab" * 32}}
        write_run(tmp_path / f"a{seed}", seed=seed, provenance=made)
    text, page = page_of(tmp_path)
    assert [row[4] for row in page.tables["Every run"][1:]] == (
        ["data.sha256=0123456789ab…", "data.sha256=1123456789ab…"]
    )
    assert f'title="data.sha256={digests[1]}"' in text
    assert "weights.sha256: abababababab…</li>" in text


def pictures(text):
    return re.findall(r'alt="[^"]*, round (\d)" src="data:image/jpeg;base64,([^"]*)"', text)


def test_without_room_last_rounds_are_shown_then_smaller_then_fewer_images(tmp_path, monkeypatch):
    run = write_run(tmp_path / "a", rounds=2)
    for number in (1, 2):
        write_evidence(run, number)
    whole, _ = page_of(tmp_path)
    assert whole.count("base64,") == 2 * (1 + 5)
    taken = sum(map(len, re.findall(r"base64,[^\"]*", whole)))

    def page_with(room):
        monkeypatch.setattr("alseg.compare.report.picks.ROOM", room)
        return page_of(tmp_path)[0]

    lasts = page_with(taken - 1)
    assert [number for number, _ in pictures(lasts)] == ["2"] * 6
    small = page_with(taken * 3 // 5)
    assert small.count("base64,") == 2 * (1 + 3)
    assert max(len(data) for _, data in pictures(small)) < (
        min(len(data) for _, data in pictures(lasts))
    )
    least = page_with(1)
    assert "Shown are 1 of the 2 images" in least
    assert least.count("base64,") == 1 + 3


def test_twenty_variants_fit_on_a_small_page(tmp_path):
    for place in range(20):
        run = write_run(tmp_path / f"a{place}", steps=700 + place, rounds=2)
        for number in (1, 2):
            write_evidence(run, number, names=("a", "b", "c", "d"))
    text, _ = page_of(tmp_path)
    assert len(text.encode()) < 3_000_000
    assert re.search(r"Shown are [123] of the 4 images", text)
    assert text.count('alt="errors of a') == 20


def test_what_to_do_about_a_run_that_has_not_ended_is_shown_as_a_command(tmp_path):
    write_run(tmp_path / "a")
    half = write_run(tmp_path / "<half>", seed=1)
    (half / "summary.json").unlink()
    text, _ = page_of(tmp_path)
    shown = f"&#x27;{tmp_path}/&lt;half&gt;&#x27;"
    assert f"go on with <code>alseg fit --resume {shown}</code>.</li>" in text

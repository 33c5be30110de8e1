import json
import math

import pytest
from tests.helpers.runs import write_matrix, write_run

from alseg.compare.comparability import choices_of, warnings_of
from alseg.compare.comparison import compare_runs, verdict
from alseg.compare.report.costs import costs_section
from alseg.compare.runs import find_runs
from alseg.compare.tables import notes
from alseg.errors import CompareError

MADE = {"time": "now", "checkout": {"commit": "a"}, "data": {"reported on": {"images": 4}}}


def compared(folder, **more):
    return compare_runs(find_runs([folder]), **more)


def test_means_deviations_shares_and_clicks_of_the_seeds(tmp_path):
    found = compared(write_matrix(tmp_path))
    assert found.variants == ["random", "halo"]
    assert found.budgets == ["1 %", "3 %"]
    random = found.point("random", "1 %")
    assert random.seeds == (0, 1, 2)
    assert random.miou == pytest.approx((0.42, 0.02))
    assert (random.share, random.clicks) == (pytest.approx(0.01), 100)
    # 0.45, 0.48, 0.51 and 0.51, 0.51, 0.54
    assert found.point("halo", "1 %").miou == pytest.approx((0.48, 0.03))
    assert found.point("halo", "3 %").miou == pytest.approx((0.52, math.sqrt(3) / 100))
    assert found.bounds["source_only"].miou == pytest.approx((0.21, 0.01))
    assert found.bounds["fully_supervised"].miou[0] == pytest.approx(0.61)


def test_areas_are_a_seed_each(tmp_path):
    found = compared(write_matrix(tmp_path))
    assert found.areas("random") == pytest.approx({0: 0.45, 1: 0.47, 2: 0.49})
    assert found.areas("halo") == pytest.approx({0: 0.48, 1: 0.495, 2: 0.525})
    difference = found.area_difference("halo")
    assert difference.estimate == pytest.approx((0.03 + 0.025 + 0.035) / 3)
    assert verdict(difference) == "better"


@pytest.mark.parametrize("strategy", ["halo", "random"])
def test_areas_span_the_budgets_that_all_curves_have(tmp_path, strategy):
    write_matrix(tmp_path)
    write_run(tmp_path / "more", iou=0.9, strategy=strategy, budget="0.1", seed=0)
    write_run(tmp_path / "other", iou=0.9, strategy="ripu", budget="0.01", seed=0)
    found = compared(tmp_path)
    assert found.area_budgets == ["1 %", "3 %"]
    assert found.areas("halo")[0] == pytest.approx(0.48)
    assert found.areas("ripu") == {}


def test_areas_are_of_the_shares_that_all_curves_cover(tmp_path):
    # Both lie on the line of 40 % + half the share; the larger windows label more.
    shares = {"random": (0.01, 0.05), "halo": (0.03, 0.09)}
    for strategy, labelled in shares.items():
        for budget, share in zip(("0.01", "0.05"), labelled, strict=True):
            write_run(
                tmp_path / f"{strategy}-{budget}",
                iou=0.4 + share / 2,
                share=share,
                strategy=strategy,
                budget=budget,
            )
    found = compared(tmp_path)
    assert found.area_shares == (0.03, 0.05)
    assert found.areas("random") == pytest.approx({0: 0.42})
    assert found.areas("halo") == pytest.approx({0: 0.42})


def test_no_area_where_the_shares_lie_apart(tmp_path):
    for strategy, labelled in {"random": (0.01, 0.02), "halo": (0.03, 0.09)}.items():
        for budget, share in zip(("0.01", "0.05"), labelled, strict=True):
            folder = tmp_path / f"{strategy}-{budget}"
            write_run(folder, share=share, strategy=strategy, budget=budget)
    found = compared(tmp_path)
    assert found.areas("random") == found.areas("halo") == {}
    assert found.area_difference("halo") is None


def test_differences_are_paired_by_seed_and_say_where_they_are_none(tmp_path):
    found = compared(write_matrix(tmp_path))
    ahead, even = found.difference("halo", "1 %"), found.difference("halo", "3 %")
    assert ahead.estimate == pytest.approx(0.06)
    # The means of the lowest and the highest resample, 0.05 and 0.07, widened for three seeds.
    reach = 0.01 * math.sqrt(3 / 2) * 4.302653 / 1.959964
    assert ahead[1:] == pytest.approx((0.06 - reach, 0.06 + reach), rel=1e-4)
    assert verdict(ahead) == "better"
    assert even.estimate == pytest.approx(0, abs=1e-12)
    assert verdict(even) == "not distinguishable"
    assert found.difference("random", "1 %") is None


def test_seeds_that_only_one_side_has_are_left_out_of_the_pairs(tmp_path):
    write_run(tmp_path / "r0", iou=0.4, seed=0)
    write_run(tmp_path / "r7", iou=0.1, seed=7)
    write_run(tmp_path / "h0", iou=0.5, seed=0, strategy="halo")
    write_run(tmp_path / "h9", iou=0.9, seed=9, strategy="halo")
    difference = compared(tmp_path).difference("halo", "1 %")
    assert difference.estimate == pytest.approx(0.1)
    assert verdict(difference) == "not distinguishable (too few seeds)"


def test_a_worse_strategy_is_told(tmp_path):
    found = compared(write_matrix(tmp_path), baseline="halo")
    assert found.variants == ["halo", "random"]
    assert verdict(found.difference("random", "1 %")) == "worse"


def test_variants_are_named_by_what_tells_them_apart(tmp_path):
    write_run(tmp_path / "a", strategy="halo", strategy_options={"radius": 1, "normalize": True})
    write_run(tmp_path / "b", strategy="halo", strategy_options={"radius": 1, "normalize": False})
    write_run(tmp_path / "c", strategy="ripu", strategy_options={"radius": 1})
    names = compared(tmp_path).variants
    assert names == ["halo (normalize=False)", "halo (normalize=True)", "ripu"]
    write_run(
        tmp_path / "d", strategy="ripu", protocol="source_free", strategy_options={"radius": 1}
    )
    assert "ripu (source_free)" in compared(tmp_path).variants


def test_the_windows_of_a_strategy_are_told_apart_from_those_that_are_labelled(tmp_path):
    for radius in (1, 4):
        options = {"radius": radius}
        write_run(tmp_path / f"a{radius}", radius=radius, strategy="ripu", strategy_options=options)
    assert compared(tmp_path).variants == ["ripu (radius=1)", "ripu (radius=4)"]
    write_run(tmp_path / "b", radius=4, strategy="ripu", strategy_options={"radius": 2})
    assert compared(tmp_path).variants == (
        ["ripu", "ripu (radius of the strategy=2)", "ripu (radius=1)"]
    )


def test_a_window_that_was_left_open_is_the_same_as_one_that_was_said(tmp_path):
    for seed, radius in enumerate((None, 1)):
        options = {"radius": 1}
        made = {"strategy": "ripu", "seed": seed, "radius": radius, "strategy_options": options}
        write_run(tmp_path / f"a{seed}", **made)
    assert [point.seeds for point in compared(tmp_path).points] == [(0, 1)]


def test_a_strategy_under_another_head_or_loss_is_a_variant_of_its_own(tmp_path):
    write_run(tmp_path / "a", head="linear", consistency_weight=0.1)
    write_run(tmp_path / "b", head="linear", consistency_weight=0.1, strategy="ripu")
    other = {"head": "hyperbolic", "consistency_weight": 0.0}
    write_run(tmp_path / "c", strategy="ripu", **other)
    write_run(tmp_path / "d", strategy="halo", **other)
    write_run(tmp_path / "e", strategy="entropy", head="linear", consistency_weight=0.1, out="x")
    found = compared(tmp_path)
    assert found.left_out == ()
    other_ripu = "ripu (consistency_weight=0.0, head=hyperbolic)"
    assert found.variants == ["random", "entropy", "halo", "ripu", other_ripu]


def test_two_variants_are_held_against_each_other_by_seed(tmp_path):
    for seed, (ripu, halo) in enumerate([(0.3, 0.5), (0.4, 0.7), (0.2, 0.3)]):
        write_run(tmp_path / f"r{seed}", iou=ripu, strategy="ripu", seed=seed)
        write_run(tmp_path / f"h{seed}", iou=halo, strategy="halo", seed=seed)
        write_run(tmp_path / f"s{seed}", iou=0.2, protocol="source_only", seed=seed)
    found = compared(tmp_path)
    ahead, behind = (
        found.difference(*p) for p in (("halo", "1 %", "ripu"), ("ripu", "1 %", "halo"))
    )
    assert ahead.estimate == pytest.approx(0.2)
    assert behind == pytest.approx((-ahead.estimate, -ahead.high, -ahead.low))
    assert found.difference("halo", "1 %", "halo") is None
    # 0.5, 0.7 and 0.3 against 0.2
    assert found.difference("halo", "1 %", "source only").estimate == pytest.approx(0.3)


def test_equal_differences_say_nothing_of_their_spread(tmp_path):
    for seed in range(3):
        write_run(tmp_path / f"r{seed}", iou=0.4, seed=seed)
        write_run(tmp_path / f"h{seed}", iou=0.5, strategy="halo", seed=seed)
    assert verdict(compared(tmp_path).difference("halo", "1 %")).startswith("not distinguishable")


def test_the_share_of_full_supervision_is_taken_seed_by_seed(tmp_path):
    for seed, (reached, most) in enumerate([(0.4, 0.5), (0.3, 0.4), (0.9, None)]):
        write_run(tmp_path / f"r{seed}", iou=reached, seed=seed)
        if most is not None:
            top = {"protocol": "fully_supervised", "seed": seed}
            write_run(tmp_path / f"t{seed}", iou=most, **top)
    found = compared(tmp_path)
    # 0.8 and 0.75
    assert found.of_upper(found.points[0]) == pytest.approx((0.775, 0.05 / math.sqrt(2)))


def test_a_bound_or_a_strategy_may_be_what_others_are_held_against(tmp_path):
    write_matrix(tmp_path)
    for name in ("source_only", "source only"):
        found = compared(tmp_path, baseline=name)
        assert found.baseline == "source only"
        # 0.45, 0.48, 0.51 against 0.20, 0.21, 0.22
        assert found.difference("halo", "1 %").estimate == pytest.approx(0.27)
    write_run(tmp_path / "a", protocol="source_free", strategy="ripu")
    assert compared(tmp_path, baseline="ripu").baseline == "ripu (source_free)"
    write_run(tmp_path / "b", protocol="source_free", strategy="ripu", head="hyperbolic")
    with pytest.raises(CompareError, match=r"Several variants have the strategy 'ripu'.*head=hyp"):
        compared(tmp_path, baseline="ripu")


def test_runs_of_other_targets_or_classes_are_refused(tmp_path):
    write_run(tmp_path / "a", target="camvid:/data")
    write_run(tmp_path / "b", target="camvid:/moved", seed=1)
    assert compared(tmp_path).points[0].seeds == (0, 1)
    write_run(tmp_path / "c", target="camvid-dusk:/data", seed=2)
    with pytest.raises(CompareError, match=r"other targets: camvid in .*a; camvid-dusk in .*c"):
        compared(tmp_path)


def test_a_full_supervision_of_other_settings_is_no_part_of_the_line(tmp_path):
    for seed in range(2):
        write_run(tmp_path / f"t{seed}", iou=0.6, protocol="fully_supervised", seed=seed)
    other = {"protocol": "fully_supervised", "head": "hyperbolic"}
    write_run(tmp_path / "h", iou=0.9, **other)
    found = compared(tmp_path)
    assert found.bounds["fully_supervised"].miou[0] == pytest.approx(0.6)
    assert found.left_out[0].folder.name == "h"
    assert "other settings (head=hyperbolic)" in found.left_out[0].problem


def test_a_setting_that_only_some_runs_have_tells_variants_apart(tmp_path):
    write_run(tmp_path / "a", strategy="halo", report_split="val")
    write_run(tmp_path / "b", strategy="halo")
    write_run(tmp_path / "c", strategy="random", report_split="val")
    found = compared(tmp_path)
    assert found.variants == ["random", "halo", "halo (report_split=None)"]
    assert found.left_out == ()


def test_budgets_in_other_words_are_the_same(tmp_path):
    write_run(tmp_path / "a", budget="1%", share=0.01, seed=0)
    write_run(tmp_path / "b", budget="0.01", seed=1)
    (point,) = compared(tmp_path).points
    assert (point.budget, point.seeds) == ("1 %", (0, 1))


def test_a_run_made_twice_counts_once_and_is_told(tmp_path):
    write_run(tmp_path / "a", iou=0.4)
    write_run(tmp_path / "b", iou=0.8)
    found = compared(tmp_path)
    assert found.points[0].miou[0] == pytest.approx(0.4)
    (again,) = found.left_out
    assert again.folder.name == "b"
    assert "repeats" in again.problem


def test_other_encoder_weights_make_a_variant_and_another_folder_of_theirs_does_not(tmp_path):
    for seed, path in enumerate(("/here/imagenet.pth", "/there/imagenet.pth")):
        write_run(tmp_path / f"a{seed}", encoder_weights=path, seed=seed)
    write_run(tmp_path / "b", encoder_weights="none")
    write_run(tmp_path / "c", encoder_weights="none", seed=1, strategy="ripu")
    found = compared(tmp_path)
    assert found.left_out == ()
    places = {point.variant: point.seeds for point in found.points}
    usual = "random (encoder_weights=imagenet.pth)"
    assert places == {usual: (0, 1), "random": (0,), "ripu": (1,)}


def test_a_run_with_another_source_is_no_repetition_and_told_by_it(tmp_path):
    write_run(tmp_path / "a", source="scenes:sim")
    write_run(tmp_path / "b", source="gtav:/data")
    (other,) = compared(tmp_path).left_out
    assert "with another source: make a report of each" in other.problem


def test_unfinished_runs_are_listed_and_alone_are_an_error(tmp_path):
    (write_run(tmp_path / "a") / "summary.json").unlink()
    with pytest.raises(CompareError, match=r"None of the 1 runs has figures to compare:\n.*ended"):
        compared(tmp_path)
    write_run(tmp_path / "b")
    assert [run.folder.name for run in compared(tmp_path).left_out] == ["a"]


def test_an_unknown_baseline_names_what_there_is(tmp_path):
    write_run(tmp_path / "a", strategy="halo")
    with pytest.raises(CompareError, match="'hallo'. Did you mean 'halo'"):
        compared(tmp_path, baseline="hallo")
    assert compared(tmp_path).baseline is None


def test_runs_that_are_alike_are_not_warned_of(tmp_path):
    assert warnings_of(compared(write_matrix(tmp_path))) == []


@pytest.mark.parametrize(
    ("other", "warning"),
    [
        ({"steps": 700}, "another steps: 600 in random; 700 in halo"),
        (
            {"start": 0.3},
            "another start with seed 0: mIoU before training was random 1 % 20.0, halo 1 % 30.0",
        ),
        ({"report_split": "val"}, "another report_split: None in random; val in halo"),
        ({"init_from": "x.ckpt"}, None),
        ({"seed": 5}, "other seeds: 0 in random at 1 %; 5 in halo at 1 %"),
        (
            {"provenance": {"checkout": {"commit": "b"}}},
            "another checkout.commit: a in random; b in",
        ),
        (
            {"provenance": {"data": {"reported on": {"images": 5}}}},
            "another data.reported on.images: 4 in random; 5 in halo",
        ),
        ({"provenance": {"time": "later"}}, None),
        (
            {"provenance": {"checkout": {"commit": "a", "changed": True}}},
            "uncommitted changes in the checkout: in halo",
        ),
        # What a comparison may be about is told apart from what makes it unfair.
        ({"head": "hyperbolic", "start": 0.3}, None),
        ({"consistency_weight": 0.0}, None),
        # Each of these has a start of its own.
        ({"head": "linear", "start": 0.3}, None),
        ({"curvature": 2.0, "start": 0.3}, None),
        ({"protocol": "target_only", "start": 0.05}, None),
    ],
)
def test_what_makes_runs_hard_to_compare_is_told(tmp_path, other, warning):
    write_run(tmp_path / "a", provenance=MADE)
    write_run(tmp_path / "b", **{"strategy": "halo", "provenance": MADE, **other})
    found = warnings_of(compared(tmp_path))
    assert len(found) == (0 if warning is None else 1)
    assert warning is None or found[0].startswith(warning)


def test_what_else_the_variants_differ_in_is_told(tmp_path):
    write_run(tmp_path / "a", head="linear")
    write_run(tmp_path / "b", strategy="halo", head="hyperbolic")
    assert choices_of(compared(tmp_path)) == ["another head: linear in random; hyperbolic in halo"]


def test_a_window_that_was_left_open_is_no_other_choice(tmp_path):
    write_run(tmp_path / "a", radius=1)
    write_run(tmp_path / "b", strategy="halo", radius=None)
    assert choices_of(compared(tmp_path)) == []
    write_run(tmp_path / "c", strategy="ripu", radius=3)
    assert choices_of(compared(tmp_path)) == ["another radius: 1 in random, halo; 3 in ripu"]


def test_another_start_of_a_bound_or_another_budget_is_told(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", budget="0.05", start=0.4)
    write_run(tmp_path / "c", protocol="fully_supervised", start=0.5)
    assert warnings_of(compared(tmp_path)) == [
        "another start with seed 0: mIoU before training was "
        "fully supervised 50.0, random 1 % 20.0, random 5 % 40.0"
    ]


def test_settings_of_asking_are_not_asked_of_runs_that_ask_for_nothing(tmp_path):
    write_run(tmp_path / "a", rounds=3)
    write_run(tmp_path / "b", protocol="source_only", rounds=5)
    assert warnings_of(compared(tmp_path)) == []


def test_a_run_that_went_on_with_another_version_is_told(tmp_path):
    write_run(tmp_path / "a", provenance={"versions": {"torch": "2.6"}})
    run = write_run(tmp_path / "b", strategy="halo")
    starts = [{"versions": {"torch": version}} for version in ("2.6", "2.6", "2.7")]
    (run / "provenance.json").write_text(json.dumps({"starts": starts}))
    assert warnings_of(compared(tmp_path)) == (
        ["another versions.torch: 2.6 in random; 2.6, then 2.7 in halo"]
    )


@pytest.mark.parametrize(
    ("name", "values", "warnings"),
    [
        ("commit", ["a1", "b2"], ["another checkout.commit: a1, then b2 in random, halo"]),
        (
            "changed",
            [True, False],
            [
                "another checkout.changed: True, then False in random, halo",
                "uncommitted changes in the checkout: in random, halo",
            ],
        ),
    ],
)
def test_a_checkout_that_changed_midway_is_told_even_if_it_did_in_all(
    tmp_path, name, values, warnings
):
    starts = [{"checkout": {name: value}} for value in values]
    for strategy in ("random", "halo"):
        run = write_run(tmp_path / strategy, strategy=strategy)
        (run / "provenance.json").write_text(json.dumps({"starts": starts}))
    assert warnings_of(compared(tmp_path)) == warnings


def test_runs_of_another_device_are_told(tmp_path):
    write_run(tmp_path / "a", provenance={"devices": ["cpu: A, 1 threads"]})
    write_run(tmp_path / "b", strategy="halo", provenance={"devices": ["cpu: B, 1 threads"]})
    assert warnings_of(compared(tmp_path)) == (
        ["another devices: cpu: A, 1 threads in random; cpu: B, 1 threads in halo"]
    )


def test_a_variant_that_differs_in_itself_is_told_by_its_runs(tmp_path):
    for seed, threads in enumerate("121"):
        made = {"devices": [f"cpu: A, {threads} threads"]}
        write_run(tmp_path / f"a{seed}", seed=seed, provenance=made)
    write_run(tmp_path / "b", strategy="halo", provenance={"devices": ["cpu: A, 1 threads"]})
    (told,) = (text for text in warnings_of(compared(tmp_path)) if "devices" in text)
    one, other, again = (f"random (`{tmp_path / name}`)" for name in ("a0", "a1", "a2"))
    assert told == (
        f"another devices: cpu: A, 1 threads in {one}, {again}, halo; cpu: A, 2 threads in {other}"
    )


def test_runs_that_do_not_say_what_they_were_made_with_are_told(tmp_path):
    write_run(tmp_path / "a", provenance=MADE)
    write_run(tmp_path / "b", strategy="halo")
    assert f"not known what they were made with: `{tmp_path / 'b'}`" in (
        warnings_of(compared(tmp_path))
    )


def test_long_values_are_cut_where_they_still_differ_and_told_whole_where_not(tmp_path):
    gpu = "NVIDIA H100 80GB HBM3"
    write_run(tmp_path / "a", provenance={"devices": [gpu] * 4})
    write_run(tmp_path / "b", strategy="halo", provenance={"devices": [gpu] * 5})
    told = [", ".join([gpu] * count) for count in (4, 5)]
    assert warnings_of(compared(tmp_path)) == (
        [f"another devices: {told[0]} in random; {told[1]} in halo"]
    )


def made_of(source, target):
    return {"data": {"source": {"name": source}, "pool": {"name": target}}}


def test_domains_go_by_the_names_of_the_data(tmp_path):
    spec = {"source": "folder:/x/data.yaml", "target": "folder:/y/data.yaml"}
    write_run(tmp_path / "a", provenance=made_of("cells", "nuclei"), **spec)
    write_run(tmp_path / "b", strategy="halo", **spec)
    assert compare_runs(find_runs([tmp_path])).domains == "cells → nuclei"


def test_two_data_sets_of_one_name_are_told_by_their_places(tmp_path):
    for name, place in (("a", "/y"), ("b", "/z")):
        spec = {"source": "gtav:/x", "target": f"folder:{place}/data.yaml"}
        write_run(tmp_path / name, seed=ord(name), provenance=made_of("gtav", "nuclei"), **spec)
    assert compare_runs(find_runs([tmp_path])).domains == (
        "gtav → nuclei (folder:/y/data.yaml); gtav → nuclei (folder:/z/data.yaml)"
    )


def test_without_provenance_domains_go_by_what_the_runs_were_given(tmp_path):
    write_run(tmp_path / "a", source="gtav:/x", target="folder:/y/data.yaml")
    assert compare_runs(find_runs([tmp_path])).domains == "gtav:/x → folder:/y/data.yaml"


@pytest.mark.parametrize(("annotator", "said"), [("oracle", True), ("manual", False)])
def test_clicks_of_an_oracle_are_said_to_ignore_mixed_windows(tmp_path, annotator, said):
    write_run(tmp_path / "a", annotator=annotator)
    comparison = compare_runs(find_runs([tmp_path]))
    words = "clicks count one per window, also where a window contains several classes"
    for text in (notes(comparison), costs_section(comparison, 3.0)):
        assert (words in text) == said

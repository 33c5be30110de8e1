import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.heaps import heaps

from alseg.active import OracleAnnotator
from alseg.cli.main import main
from alseg.cli.parser import load_config
from alseg.labels import LabelStore, PoolImage
from tests.helpers.rounds import hold_round

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
TABLES = ("matrix", "recipe", "ablation", "unlabelled", "partitions")
MATRICES = sorted(path for path in EXPERIMENTS.rglob("*.yaml") if path.stem in TABLES)
FILES = sorted(set(EXPERIMENTS.rglob("*.yaml")) - set(MATRICES))
ON_CAMVID = [path for path in FILES if path.parent.name == "camvid"]


def name(path):
    return str(path.relative_to(EXPERIMENTS))


def test_the_papers_protocols_and_both_camvid_shifts_are_there():
    names = {name(path) for path in FILES + MATRICES}
    camvid = ("camvid/source_only", "camvid/ripu", "camvid/halo", "camvid/matrix")
    assert "demo.yaml" in names
    assert {f"{run}.yaml" for run in (*camvid, "camvid_dusk/matrix")} <= names
    for pair in ("gtav_cityscapes", "synthia_cityscapes", "cityscapes_acdc"):
        assert {f"{pair}/ripu.yaml", f"{pair}/halo.yaml"} <= names


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_experiment_is_a_valid_run(path):
    config = load_config([path], {})
    assert config.strategy == path.stem or path.stem in (config.protocol, "demo")


@pytest.mark.parametrize("path", MATRICES, ids=name)
def test_every_matrix_is_a_list_of_valid_runs(path, tmp_path, capsys):
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert len({command[-1] for command in commands}) == len(commands)
    for command in commands:
        assert command[:2] == ["alseg", "fit"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", ["camvid", "camvid_dusk"])
def test_the_matrices_compare_the_strategies_over_three_seeds(folder, tmp_path, capsys):
    matrix = EXPERIMENTS / folder / "matrix.yaml"
    assert main(["sweep", str(matrix), "--out", str(tmp_path), "--dry-run"]) == 0
    commands = capsys.readouterr().out.splitlines()
    runs = {Path(shlex.split(line)[-1]).relative_to(tmp_path).as_posix() for line in commands}
    asking = ["entropy-1%", "margin-1%", "halo-impurity-1%", "halo-radius-1%"]
    asking += [f"{name}-{share}%" for name in ("random", "ripu", "halo") for share in (0.1, 1, 5)]
    on_both = []
    if folder == "camvid":
        asking += [f"ripu-{what}-1%" for what in ("impurity", "uncertainty", "hyperbolic")]
        asking += ["random-hyperbolic-1%", "ripu-hyperbolic-apart-1%"]
        on_both = ["random-1%", "ripu-1%", "halo-1%"]
    variants = ["source_only", "fully_supervised", *(f"source_free-{name}" for name in asking)]
    variants += on_both
    expected = {f"{variant}-seed{seed}" for variant in variants for seed in (0, 1, 2)}
    starts = {
        f"starts/{head}-seed{seed}" for head in ("linear", "hyperbolic") for seed in (0, 1, 2)
    }
    assert runs == expected | starts


@pytest.mark.parametrize(("table", "runs"), [("recipe", 3 + 6), ("ablation", 1 + 10)])
def test_what_is_tried_out_is_tried_on_validation_images_alone(table, runs, tmp_path, capsys):
    matrix = EXPERIMENTS / "camvid" / f"{table}.yaml"
    assert main(["sweep", str(matrix), "--out", str(tmp_path), "--dry-run"]) == 0
    commands = capsys.readouterr().out.splitlines()
    assert len(commands) == runs
    assert all("--report-split val" in command for command in commands)


def test_regions_that_touch_are_one_place_and_void_ones_teach_nothing(tmp_path):
    # Three regions of 3×3: two side by side, and one apart, which is void. At 8×8 of 24×24 pixels
    # each of the other two is one cell.
    score, truth = torch.zeros(24, 24), np.zeros((24, 24), dtype=np.uint8)
    score[4, 4], score[4, 7], score[16, 16] = 3, 2, 1
    truth[15:18, 15:18] = 255
    store = LabelStore.create(tmp_path, [PoolImage("a", 24, 24)], ["road"])
    oracle = OracleAnnotator(lambda image: truth)
    hold_round(store, [(0, score)], oracle, number=1, rounds=1, budget="3 regions")
    assert heaps(store, (8, 8)) == (1 / 3, 2 / 3, 2)
    assert heaps(store, (24, 24)) == (1 / 3, 2 / 3, 18)


@pytest.fixture(scope="session")
def few_photographs(shared, tmp_path_factory):
    """CamVid with a few images of every split and sequence."""
    camvid = shared / "data" / "camvid"
    root = tmp_path_factory.mktemp("camvid")
    for split in ("train", "val", "test"):
        files = sorted((camvid / "images" / split).iterdir())
        dusk = [file for file in files if file.stem.startswith("0001TP")][:3]
        day = [file for file in files if not file.stem.startswith("0001TP")][:3]
        for file in dusk + day:
            label = camvid / "labels" / split / f"{file.stem}.png"
            for kind, original in (("images", file), ("labels", label)):
                copy = root / kind / split / original.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.symlink_to(original.resolve())
    return root


@pytest.mark.parametrize("at_dusk", [False, True], ids=["photographs", "dusk"])
@pytest.mark.parametrize("path", ON_CAMVID, ids=name)
def test_experiments_with_data_at_hand_run(path, at_dusk, few_photographs, shared, tmp_path):
    config = load_config([path], {})
    weights = shared / "weights" / Path(config.encoder_weights).name
    arguments = ["--target", f"camvid:{few_photographs}"]
    if at_dusk:
        arguments = ["--source", f"camvid-day:{few_photographs}"]
        arguments += ["--target", f"camvid-dusk:{few_photographs}"]
    arguments += ["--encoder-weights", str(weights), "--out", str(tmp_path / "run")]
    arguments += ["--steps", "2", "--warm-start-steps", "1", "--rounds", "2", "--batch-size", "2"]
    arguments += ["--size", "60x80", "--workers", "0", "--progress", "false"]
    assert main(["fit", "-c", str(path), *arguments]) == 0
    if (tmp_path / "run" / "labels").exists():
        store = LabelStore.open(tmp_path / "run" / "labels")
        assert abs(store.asked_pixels - 0.01 * store.areas.sum()) < 9

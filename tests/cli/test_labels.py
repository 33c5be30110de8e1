import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.helpers.archives import digests, read_bytes, write_bytes
from tests.helpers.stores import CLASSES, SIZES, edit_manifest, random_store
from tests.labels.test_store import commit_round

from alseg.cli.main import main
from alseg.config.run import RunConfig, dump_config
from alseg.labels import LabelStore, PoolImage


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("run") / "labels")


@pytest.fixture
def run(original, tmp_path):
    """A run's folder with a copy of the labels."""
    shutil.copytree(original[0].folder, tmp_path / "run" / "labels")
    return tmp_path / "run"


@pytest.fixture
def answered(original):
    """The right labels at all pixels that were ever asked for, and 255 elsewhere, by image."""
    annotator = original[1]
    labels = {name: np.full(size, 255, np.uint8) for name, size in SIZES.items()}
    for name, asked in annotator.asked:
        labels[name][asked] = annotator.truth[name][asked]
    return labels


@pytest.mark.parametrize("below", ["", "labels"])
def test_a_sound_run_is_told_with_what_was_checked(run, below, original, capsys):
    before = digests(run)
    assert main(["labels", "verify", str(run / below)]) == 0
    asked = sum(int(asked.sum()) for _, asked in original[1].asked)
    regions = sum(result.regions for result in original[2])
    out = capsys.readouterr().out
    assert out.startswith(
        f"sound: 3 rounds, 3 images, {regions:,} regions, {asked:,} pixels checked in {run}"
    )
    assert digests(run) == before


def test_a_problem_is_told_with_its_file_and_what_to_do(run, capsys):
    path = run / "labels/round-002/images.zip/labels/city/a.png"
    write_bytes(path, read_bytes(path)[:-1])
    assert main(["labels", "verify", str(run)]) == 1
    first, summary, advice = capsys.readouterr().out.splitlines()
    assert first == f"{path}: its content is not what was written"
    assert summary.startswith("1 problem: 3 rounds")
    assert f"remove {run / 'labels/round-002'} and all later rounds" in advice


def test_a_long_list_of_problems_is_cut(run, capsys):
    for number in range(23):
        (run / f"labels/round-001/{number:02d}.txt").write_text("")
    assert main(["labels", "verify", str(run)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "is no file of a round" in line] == lines[:20]
    assert lines[20] == "... and 3 more"
    assert lines[21].startswith("23 problems: ")
    assert len(lines) == 22


def test_a_round_in_progress_is_told_and_is_no_problem(run, capsys):
    LabelStore.open(run / "labels").stage(4)
    assert main(["labels", "verify", str(run)]) == 0
    assert f"{run / 'labels/.staging-004'} is a round in progress" in capsys.readouterr().out


@pytest.mark.parametrize("action", [["verify"], ["export", "-o", "somewhere"]])
def test_where_there_are_no_labels_the_command_is_refused(
    run, action, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (run / "labels/pool.json").unlink()
    assert main(["labels", *action, str(run)]) == 2
    captured = capsys.readouterr()
    assert f"{run / 'labels/pool.json'} is missing" in captured.err
    assert captured.out == ""
    assert not (tmp_path / "somewhere").exists()


def test_an_action_is_needed_and_a_misspelt_one_is_answered_with_the_nearest(capsys):
    assert main(["labels", "verfy", "."]) == 2
    assert "Did you mean 'verify'?" in capsys.readouterr().err
    assert main(["labels"]) == 2
    assert "verify, export" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["verify", "export"])
def test_every_action_has_help(action, capsys):
    assert main(["labels", action, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: alseg labels {action} RUN")


def test_labels_are_looked_into_without_the_training_stack(run):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "alseg.cli.main", "labels", "verify", str(run)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "alseg.labels.store" in imported
    assert {"torch", "lightning"} & imported == set()


def test_exported_labels_are_the_answers_where_pixels_were_asked_for(
    run, answered, tmp_path, capsys
):
    out = tmp_path / "exported"
    assert main(["labels", "export", str(run), "-o", str(out)]) == 0
    assert sorted(digests(out)) == ["c.png", "city/a.png", "city/b.png", "classes.yaml"]
    for name in ("c", "city/a", "city/b"):
        image = Image.open(out / f"{name}.png")
        assert image.mode == "L"
        assert np.array_equal(np.array(image), answered[name])
    names = yaml.safe_load((out / "classes.yaml").read_text())
    assert names == {"classes": ["road", "sky", "car"], "ignore": 255}
    said = capsys.readouterr().out
    pixels = sum(int((label != 255).sum()) for label in answered.values())
    assert f"3 images after round 3: {pixels:,} pixels with a class" in said
    assert "images that were never asked for and have no file: 1" in said
    assert "shown in grey" in said


def test_exported_labels_are_those_of_the_round_that_is_named(run, original, tmp_path):
    assert main(["labels", "export", str(run), "--round", "1", "-o", str(tmp_path / "one")]) == 0
    _, annotator, results = original
    expected = np.full(SIZES["city/a"], 255, np.uint8)
    name, asked = next(entry for entry in annotator.asked if entry[0] == "city/a")
    expected[asked] = annotator.truth[name][asked]
    assert np.array_equal(np.array(Image.open(tmp_path / "one/city/a.png")), expected)
    assert len(digests(tmp_path / "one")) == len(results[0].images) + 1


def test_the_colours_are_those_of_the_classes_of_the_runs_data(tmp_path):
    camvid = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car"]
    camvid += ["pedestrian", "bicyclist"]
    run = tmp_path / "run"
    store = LabelStore.create(run / "labels", [PoolImage("a", 2, 300)], camvid)
    (run / "config.yaml").write_text(dump_config(RunConfig(target="scenes:fog")))
    commit_round(store, 1, {"a": 3})
    assert main(["labels", "export", str(run), "-o", str(tmp_path / "out")]) == 0
    path = tmp_path / "out/a.png"
    image = Image.open(path)
    assert image.mode == "P"
    assert np.array_equal(np.array(image), [[3] * 300, [255] * 300])
    # The published colours of CamVid's road and void.
    assert np.array_equal(np.array(image.convert("RGB"))[:, 0], [[128, 64, 128], [0, 0, 0]])
    width, height, depth, kind = struct.unpack(">IIBB", path.read_bytes()[16:26])
    assert (width, height, depth, kind) == (300, 2, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--round", "4"], "has no round 4; allowed are 1 to 3"),
        (["--round", "0"], "has no round 0; allowed are 1 to 3"),
        (["--round", "last"], "last"),
    ],
)
def test_a_round_that_is_not_there_is_refused(run, tmp_path, arguments, words, capsys):
    out = tmp_path / "out"
    assert main(["labels", "export", str(run), "-o", str(out), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_in_use_is_not_written_to_and_an_empty_one_is(run, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert main(["labels", "export", str(run), "-o", str(out)]) == 2
    assert f"{out} is in use" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    assert main(["labels", "export", str(run), "-o", str(out)]) == 0


@pytest.mark.parametrize("below", ["labels", "labels/out", "labels/round-001/out", "link/out"])
def test_the_store_itself_is_not_written_to(run, below, tmp_path, capsys):
    (run / "link").symlink_to(run / "labels", target_is_directory=True)
    before = {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}
    assert main(["labels", "export", str(run), "-o", str(run / below)]) == 2
    assert f"lies in the label store {run / 'labels'}" in capsys.readouterr().err
    assert {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")} == before
    assert main(["labels", "verify", str(run)]) == 0


def test_the_folder_of_the_run_is_in_use_and_one_beside_the_store_may_be_written(run, capsys):
    assert main(["labels", "export", str(run), "-o", str(run)]) == 2
    assert f"{run} is in use" in capsys.readouterr().err
    assert main(["labels", "export", str(run), "-o", str(run / "exported")]) == 0
    assert main(["labels", "verify", str(run)]) == 0


def test_of_a_damaged_store_nothing_is_written(run, tmp_path, capsys):
    path = run / "labels/round-003/images.zip/labels/city/b.png"
    write_bytes(path, read_bytes(path)[:-1])
    before = digests(tmp_path)
    assert main(["labels", "export", str(run), "-o", str(tmp_path / "out")]) == 2
    assert f"{path} cannot be used" in capsys.readouterr().err
    assert digests(tmp_path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_leaves_nothing_behind(run, tmp_path, monkeypatch, capsys):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    assert main(["labels", "export", str(run), "-o", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"alseg labels: Cannot write {tmp_path}")
    assert "No space left on device" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_store_without_a_round_has_nothing_to_export(tmp_path, capsys):
    LabelStore.create(tmp_path / "labels", [PoolImage("a", 2, 3)], CLASSES)
    assert main(["labels", "export", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "no round is finished" in capsys.readouterr().err


def test_a_newer_store_is_not_called_damaged(run, capsys):
    edit_manifest(run / "labels", 3, lambda manifest: manifest.update(format=9))
    assert main(["labels", "verify", str(run)]) == 1
    out = capsys.readouterr().out
    assert "Use the version of alseg that wrote it" in out
    assert "remove" not in out


def test_an_export_touches_nothing_beside_its_folder(run, tmp_path):
    beside = tmp_path / ".out.part" / "thesis.txt"
    beside.parent.mkdir()
    beside.write_text("years of work")
    assert main(["labels", "export", str(run), "-o", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "run") == [
        ".out.part",
        "out",
    ]
    assert beside.read_text() == "years of work"

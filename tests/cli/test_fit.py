import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.helpers.toys import TINY

from alseg.cli.main import main
from alseg.data import open_dataset
from alseg.errors import WeightsError
from alseg.labels import LabelStore
from alseg.runs.round_pictures import RoundPictures
from alseg.runs.run_summary import PHASES


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def fit(tiny, out, *more):
    return main(["fit", "-c", str(tiny), "--out", str(out), *more])


def test_the_main_job_ends_with_labels_checkpoint_pictures_and_a_summary(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    assert fit(tiny, out, "--strategy", "halo", "--budget", "0.01") == 0
    said = capsys.readouterr().out
    for words in ("before", "after", "labels asked for", "seconds", "alseg predict"):
        assert words in said
    store = LabelStore.open(out / "labels")
    assert abs(store.asked_pixels - 0.01 * 5 * 48 * 64) < 9
    summary = json.loads((out / "summary.json").read_text())
    assert summary["labels"]["asked_pixels"] == store.asked_pixels
    assert 0 <= summary["after"]["mIoU"] <= 1
    # Those that a dashboard has bars for.
    assert set(summary["seconds"]) == set(PHASES)
    assert {"regions", "asked_pixels"} <= summary["labels"].keys()
    pictures = sorted((out / "pictures").rglob("*.png"))
    assert len(pictures) == 2
    assert Image.open(pictures[0]).size == (3 * 64, 48)
    assert list((out / "metrics").glob("training-*/metrics.csv"))
    assert yaml.safe_load((out / "config.yaml").read_text())["budget"] in (0.01, "0.01")


def test_a_run_is_named_after_its_data_and_knows_their_most_frequent_class(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "-c", str(tiny), "--strategy", "random", "--steps", "2"]) == 0
    (run,) = Path("runs").iterdir()
    assert run.name.startswith("scenes-sim-scenes-dusk-random-")
    scenes = open_dataset("scenes:dusk", "test", size=[48, 64], count=5)
    labels = np.concatenate([scenes.label(index).ravel() for index in range(len(scenes))])
    pixels = np.bincount(labels[labels != 255], minlength=11)
    expected = pixels.max() / pixels.sum() / np.count_nonzero(pixels)
    known = json.loads((run / "summary.json").read_text())["most_frequent"]
    assert known == {"class": pixels.argmax(), "mIoU": pytest.approx(expected)}


def test_what_is_logged_as_test_is_before_training_and_of_the_last_checkpoint(tiny, tmp_path):
    out = tmp_path / "run"
    assert fit(tiny, out, "--strategy", "ripu", "--validate-every", "1") == 0
    summary = json.loads((out / "summary.json").read_text())
    assert "mIoU" in summary["best"]
    (path,) = (out / "metrics").glob("training-*/metrics.csv")
    with path.open(newline="") as file:
        logged = [float(row["test/mIoU"]) for row in csv.DictReader(file) if row["test/mIoU"]]
    assert logged == pytest.approx([summary[part]["mIoU"] for part in ("before", "after")])


@pytest.mark.parametrize(
    "protocol", ["source_only", "source_free", "target_only", "fully_supervised"]
)
def test_every_protocol_runs(tiny, tmp_path, protocol):
    out = tmp_path / protocol
    assert fit(tiny, out, "--protocol", protocol, "--strategy", "entropy") == 0
    assert (out / "labels").exists() == (protocol in ("source_free", "target_only"))


def test_a_finished_run_is_used_by_evaluate_and_predict(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    assert fit(tiny, out, "--strategy", "random", "--scope", "pool") == 0
    checkpoint = str(out / "checkpoints" / "last.ckpt")
    summary = json.loads((out / "summary.json").read_text())
    target = ["--target", "scenes:dusk", "--target-options.size", "[48, 64]"]
    assert main(["evaluate", checkpoint, *target, "--target-options.count", "5"]) == 0
    assert f"{100 * summary['after']['mIoU']:.1f}" in capsys.readouterr().out
    photo = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert main(["predict", checkpoint, str(tmp_path / "photo.png"), "-o", str(out / "p")]) == 0
    label = np.asarray(Image.open(out / "p" / "labels" / "photo.png"))
    assert label.shape == (50, 70)
    assert label.max() < 11


def test_a_run_folder_in_use_is_not_touched(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert fit(tiny, out) == 2
    assert capsys.readouterr().err.endswith(f"{out} is in use. Name another folder with --out.\n")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    (out / "config.yaml").touch()
    assert fit(tiny, out) == 2
    assert f"or continue the run in it with `alseg fit --resume {out}`." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["--budget", "fish"], "fish"),
        (["--budget", "5"], "Did you mean"),
        (["--rounds", "700"], "rounds"),
        (["--exclusion-radius", "0"], "exclusion radius"),
        (["--strategy-options.term", "wisdom"], "term"),
        (["--head", "linear"], "hyperbolic"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tiny, tmp_path, capsys, settings, words
):
    out = tmp_path / "run"
    assert fit(tiny, out, "--strategy", "halo", *settings) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_run_that_was_stopped_goes_on_where_it_was(tiny, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    monkeypatch.setattr(RoundPictures, "__call__", stop_at_round_2)
    assert fit(tiny, out, "--strategy", "entropy") == 130
    monkeypatch.undo()
    assert main(["fit", "--resume", str(out), "--budget", "0.5"]) == 2
    assert "budget would change" in capsys.readouterr().err
    assert main(["fit", "--resume", str(out)]) == 0
    assert LabelStore.open(out / "labels").rounds == 2
    summary = json.loads((out / "summary.json").read_text())
    assert {"before", "after"} <= summary.keys()
    assert main(["fit", "--resume", str(out)]) == 0
    assert "had ended already" in capsys.readouterr().err
    assert json.loads((out / "summary.json").read_text()) == summary


def stop_at_round_2(pictures, number, result, scores):
    if number == 2:
        raise KeyboardInterrupt


def test_another_start_than_the_network_is_refused(tiny, tmp_path, capsys):
    out = tmp_path / "start"
    assert fit(tiny, out, "--protocol", "source_only") == 0
    start = str(out / "checkpoints" / "source.ckpt")
    assert fit(tiny, tmp_path / "next", "--strategy", "halo", "--init-from", start) == 2
    assert "head is linear there and hyperbolic here" in capsys.readouterr().err
    assert not (tmp_path / "next").exists()


def test_a_start_from_a_checkpoint_needs_no_published_weights(tiny, tmp_path, monkeypatch, capsys):
    out = tmp_path / "start"
    assert fit(tiny, out, "--protocol", "source_only") == 0
    start = str(out / "checkpoints" / "last.ckpt")

    def unreachable(encoder, weights):
        raise WeightsError(f"{weights} of {encoder} cannot be had")

    monkeypatch.setattr("alseg.models.segmenter.require_download", unreachable)
    published = ["--strategy", "random", "--encoder-weights", "imagenet"]
    assert fit(tiny, tmp_path / "without", *published) == 2
    assert "cannot be had" in capsys.readouterr().err
    assert fit(tiny, tmp_path / "with", *published, "--init-from", start) == 0


def test_a_file_that_is_no_checkpoint_is_refused_in_a_sentence(tiny, tmp_path, capsys):
    (tmp_path / "letter.ckpt").write_text("Dear reader")
    assert fit(tiny, tmp_path / "run", "--init-from", str(tmp_path / "letter.ckpt")) == 2
    assert "is not a checkpoint" in capsys.readouterr().err


def run_in_process(tiny, out, *more):
    code = "import sys; from alseg.cli.main import main; sys.exit(main())"
    script = tiny.parent / "alseg_command.py"
    script.write_text(code)
    source = [str(Path(__file__).parents[2] / part) for part in ("src", "strategies/src")]
    path = os.pathsep.join([*source, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(script), "fit", "-c", str(tiny), "--out", str(out), *more],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_two_processes_ask_for_as_much_as_one_and_count_every_image_once(tiny, tmp_path):
    settings = ["--strategy", "ripu", "--steps", "2", "--rounds", "2", "--warm-start-steps", "0"]
    one = run_in_process(tiny, tmp_path / "one", *settings)
    two = run_in_process(tiny, tmp_path / "two", *settings, "--devices", "2")
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    stores = [LabelStore.open(tmp_path / name / "labels") for name in ("one", "two")]
    for image in stores[0].images:
        ours, theirs = (store.round_map(image.id, 1) for store in stores)
        assert np.array_equal(ours, theirs)
    assert stores[0].rounds == stores[1].rounds == 2
    assert abs(stores[0].asked_pixels - stores[1].asked_pixels) < 9
    before = [
        json.loads((tmp_path / name / "summary.json").read_text())["before"]
        for name in ("one", "two")
    ]
    assert before[0] == pytest.approx(before[1], abs=1e-6, nan_ok=True)
    assert two.stdout.count("mIoU on") == 1


def test_wandb_keeps_figures_and_masked_pictures_offline(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    out = tmp_path / "run"
    assert fit(tiny, out, "--strategy", "ripu", "--logger", "wandb") == 0
    kept = list((out / "wandb").glob("offline-run-*"))
    identity = json.loads((out / "summary.json").read_text())["wandb_id"]
    assert [run.name.split("-")[-1] for run in kept] == [identity]
    media = [path for run in kept for path in run.glob("files/media/images/**/*.png")]
    pictures = [path for path in media if "mask" not in path.parts]
    masks = [path for path in media if "mask" in path.parts]
    assert len(pictures) == 2 * 3
    assert len(masks) == 2
    classes = np.unique(np.asarray(Image.open(masks[0])))
    assert set(classes) <= {*range(11), 255}
    assert main(["fit", "--resume", str(out)]) == 0
    assert json.loads((out / "summary.json").read_text())["wandb_id"] == identity


def test_off_a_terminal_progress_is_an_estimate_of_the_whole_run_without_refreshes(
    tiny, tmp_path, capsys
):
    settings = ["--strategy", "ripu", "--progress", "true", "--warm-start-steps", "7"]
    assert fit(tiny, tmp_path / "run", *settings) == 0
    said = capsys.readouterr().err
    assert re.search(
        r"^about \d+ s on this machine: 7 steps of [\d.]+ s \+ 4 steps of [\d.]+ s, "
        r"2 rounds of 5 images$",
        said,
        re.MULTILINE,
    )
    assert "\r" not in said
    for words in ("Epoch", "v_num", "it/s", "%|"):
        assert words not in said

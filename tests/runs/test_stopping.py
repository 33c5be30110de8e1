"""A command that is asked to stop keeps its last step and says how to continue."""

import json
import signal

import pytest
import torch
from tests.helpers.archives import digests
from tests.helpers.dying import Point, die
from tests.helpers.processes import Ranks, alseg, run_ranks
from tests.helpers.toys import TINY

from alseg.labels import LabelStore

SIGNALS = [signal.SIGINT, signal.SIGTERM]
RUN = ["--strategy", "ripu", "--steps", "12", "--pictures", "0"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run_ranks(
        *(alseg, "fit", "-c", settings, *RUN, "--out", folder / "run"), ranks=1, folder=folder
    )
    return folder / "run"


def stop(point, *command, folder, ranks=1):
    """Run a command, stop it at a point, and return what each rank said."""
    started = Ranks(die, point, *command, ranks=ranks, folder=folder)
    codes = started.wait(100)
    assert codes == [130] * ranks, started.said()
    return [log.read_text() for log in started.logs]


def weights(run):
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def resumes_to(whole, run, folder):
    run_ranks(alseg, "fit", "--resume", run, ranks=1, folder=folder)
    assert digests(run / "labels") == digests(whole / "labels")
    there, here = weights(whole), weights(run)
    assert all(torch.equal(here[name], there[name]) for name in there)


@pytest.mark.parametrize("number", SIGNALS)
def test_training_saves_the_step_that_it_was_in(settings, whole, tmp_path, number):
    out = tmp_path / "run"
    # The fifth step after the two on the source; otherwise the third and the sixth are saved.
    point = Point("training", 2 + 5, "before", signal=number)
    (said,) = stop(point, "fit", "-c", settings, *RUN, "--out", out, folder=tmp_path)
    assert said.splitlines()[-1] == f"Stopped. Resume with: alseg fit --resume {out}"
    last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 5
    resumes_to(whole, out, tmp_path)


@pytest.mark.parametrize(
    ("place", "call", "rounds", "number"),
    # Round 1 is held at step 0 and round 2 at step 6; the network looks at the five images for the
    # scores and again for the analysis.
    [
        ("scoring", 2, 0, signal.SIGINT),
        ("scoring", 12, 1, signal.SIGTERM),
        ("analysis", 7, 2, signal.SIGINT),
        # The folder is synced before the rename that commits a round, the store after it.
        ("commit", 1, 0, signal.SIGTERM),
        ("commit", 2, 1, signal.SIGTERM),
    ],
)
def test_scoring_and_analysis_end_at_once_and_lose_no_step(
    settings, whole, tmp_path, number, place, call, rounds
):
    out = tmp_path / "run"
    point = Point(place, call, "before", signal=number)
    (said,) = stop(point, "fit", "-c", settings, *RUN, "--out", out, folder=tmp_path)
    assert said.splitlines()[-1] == f"Stopped. Resume with: alseg fit --resume {out}"
    assert LabelStore.open(out / "labels").rounds == rounds
    if place == "scoring" and rounds == 1:
        last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == 6
    resumes_to(whole, out, tmp_path)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_evaluation_ends_at_once(settings, tmp_path, number):
    out = tmp_path / "run"
    point = Point("testing", 2, "before", signal=number)
    (said,) = stop(point, "fit", "-c", settings, *RUN, "--out", out, folder=tmp_path)
    assert f"Stopped. Resume with: alseg fit --resume {out}" in said
    assert "before" not in json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize(
    ("place", "call", "rank", "number"),
    [
        ("training", 3, 1, signal.SIGTERM),
        ("training", 3, 0, signal.SIGINT),
        ("scoring", 1, 1, signal.SIGINT),
        ("testing", 1, 0, signal.SIGTERM),
    ],
)
def test_all_ranks_end_where_one_is_asked_to(settings, tmp_path, number, rank, place, call):
    out = tmp_path / "run"
    command = ["fit", "-c", settings, *RUN, "--warm-start-steps", "0", "--devices", 2]
    point = Point(place, call, "before", rank=rank, signal=number)
    for said in stop(point, *command, "--out", out, folder=tmp_path, ranks=2):
        assert f"Stopped. Resume with: alseg fit --resume {out}" in said
        assert " failed: " not in said
    if place == "training":
        last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == 3


@pytest.mark.parametrize("number", SIGNALS)
def test_commands_on_a_checkpoint_end_between_images(whole, tmp_path, number):
    images = tmp_path / "images"
    images.mkdir()
    from alseg.data import open_dataset
    from alseg.runs.pictures import save_png

    scenes = open_dataset("scenes:dusk", "train", size=(48, 64), count=3)
    for index in range(3):
        save_png(images / f"{index}.png", scenes.image(index))
    checkpoint = whole / "checkpoints" / "last.ckpt"
    options = '{"size": [48, 64], "count": 4}'
    for name, place, command, words in [
        (
            "evaluate",
            "predicting",
            [checkpoint, "--target", "scenes:dusk", "--target-options", options],
            "run the same command again",
        ),
        ("predict", "predicting", [checkpoint, images, "-o", tmp_path / "out"], "another -o"),
        (
            "query",
            "scoring",
            [checkpoint, images, "-o", tmp_path / "asked", "--strategy", "random"],
            "Nothing was asked",
        ),
    ]:
        point = Point(place, 2, "before", signal=number)
        (said,) = stop(point, name, *command, folder=tmp_path)
        assert said.splitlines()[-1].startswith("Stopped.")
        assert words in said
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 1


def press_twice(*arguments):
    """Be the command, in whose fourth step Ctrl-C is pressed twice."""
    import os

    from alseg.training.module import SegmentationModule

    step, calls = SegmentationModule.training_step, []

    def training_step(self, batch, batch_idx):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the step continued")
        return step(self, batch, batch_idx)

    SegmentationModule.training_step = training_step
    alseg(*arguments)


def test_a_second_ctrl_c_ends_at_once(settings, tmp_path):
    out = tmp_path / "run"
    command = ["fit", "-c", settings, *RUN, "--warm-start-steps", "0", "--out", out]
    started = Ranks(press_twice, *command, ranks=1, folder=tmp_path)
    assert started.wait(100) == [130]
    assert f"Stopped. Resume with: alseg fit --resume {out}" in started.said()
    assert "the step continued" not in started.said()

"""A run that is killed at any moment goes on to the same label store."""

import json
import os
import random
import signal

import pytest
import torch

from alseg.labels import LabelStore
from tests.helpers.archives import digests
from tests.helpers.dying import Point, count, die
from tests.helpers.processes import Ranks, alseg, run_ranks
from tests.helpers.toys import TINY

SETTINGS = ["--strategy", "ripu", "--steps", "6", "--rounds", "3", "--pictures", "0"]


class Whole:
    """A run that is never killed, on one process or on two."""

    def __init__(self, folder, ranks, *more):
        self.ranks = ranks
        self.more = more
        self.settings = folder / "tiny.yaml"
        self.settings.write_text(TINY)
        command = self.command(folder / "run")
        run_ranks(count, folder, *command, ranks=ranks, folder=folder)
        assert LabelStore.open(folder / "run" / "labels").rounds == 3
        self.labels = digests(folder / "run" / "labels")
        self.calls = [
            json.loads((folder / f"calls-{rank}.json").read_text()) for rank in range(ranks)
        ]

    def command(self, out):
        return [
            "fit",
            "-c",
            self.settings,
            "--out",
            out,
            "--devices",
            self.ranks,
            *SETTINGS,
            *self.more,
        ]

    def point(self, seed):
        draw = random.Random(seed)
        rank = draw.randrange(self.ranks)
        passed = {place: calls for place, calls in self.calls[rank].items() if calls}
        place = draw.choice(sorted(passed))
        moments = ["before", "after", *(["within"] if place == "storing" else [])]
        return Point(place, draw.randint(1, passed[place]), draw.choice(moments), rank)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return Whole(tmp_path_factory.mktemp("alone"), 1)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    return Whole(tmp_path_factory.mktemp("of-two"), 2)


@pytest.fixture(scope="module")
def of_images(tmp_path_factory):
    more = ["--region", "image", "--budget", "3 images", "--warm-start-steps", "0"]
    return Whole(tmp_path_factory.mktemp("of-images"), 1, *more)


def check_a_killed_run(whole, number, folder):
    seed = os.environ["ALSEG_CRASH_SEED"]
    point = whole.point(f"{seed}/{whole.ranks}/{number}")
    # Shown by pytest where the test fails.
    print(f"--crash-seed {seed}: {point}")  # noqa: T201
    out = folder / "run"
    killed = Ranks(die, point, *whole.command(out), ranks=whole.ranks, folder=folder)
    assert killed.wait()[point.rank] == -signal.SIGKILL, killed.said()
    begun = (out / "config.yaml").exists()
    again = ["fit", "--resume", out] if begun else whole.command(out)
    run_ranks(alseg, *again, ranks=whole.ranks, folder=folder)
    assert digests(out / "labels") == whole.labels


def numbers(short, long):
    return [pytest.param(n, marks=pytest.mark.slow if n >= short else ()) for n in range(long)]


@pytest.mark.parametrize("number", numbers(4, 25))
def test_a_run_killed_alone_ends_with_the_same_labels(alone, tmp_path, number):
    check_a_killed_run(alone, number, tmp_path)


@pytest.mark.parametrize("number", numbers(2, 12))
def test_one_rank_of_two_killed_ends_with_the_same_labels(of_two, tmp_path, number):
    check_a_killed_run(of_two, number, tmp_path)


@pytest.mark.parametrize("number", numbers(2, 8))
def test_a_run_that_asks_for_whole_images_killed_ends_with_the_same_labels(
    of_images, tmp_path, number
):
    check_a_killed_run(of_images, number, tmp_path)


def test_a_run_that_is_asked_to_end_has_saved_its_last_step(tmp_path):
    settings = tmp_path / "tiny.yaml"
    settings.write_text(TINY)
    given = ["fit", "-c", settings, "--strategy", "ripu", "--steps", "12", "--pictures", "0"]
    run_ranks(alseg, *given, "--out", tmp_path / "whole", ranks=1, folder=tmp_path)
    out = tmp_path / "run"
    # The fifth step after the two on the source; otherwise the third and the sixth are saved.
    point = Point("training", 2 + 5, "before", signal=signal.SIGTERM)
    ended = Ranks(die, point, *given, "--out", out, ranks=1, folder=tmp_path)
    assert ended.wait() == [130], ended.said()
    assert f"Resume with: alseg fit --resume {out}" in ended.said()
    last = out / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 5
    before = json.loads((out / "summary.json").read_text())["seconds"]
    assert before["training"] > 0
    run_ranks(alseg, "fit", "--resume", out, ranks=1, folder=tmp_path)
    after = json.loads((out / "summary.json").read_text())["seconds"]
    assert after["training"] > before["training"]
    assert after["asking for labels"] > before["asking for labels"] > 0
    assert digests(out / "labels") == digests(tmp_path / "whole" / "labels")
    there = torch.load(tmp_path / "whole/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    here = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(here[name], there[name]) for name in there)


def test_a_run_that_is_asked_to_end_while_it_is_evaluated_says_how_to_go_on(tmp_path):
    settings = tmp_path / "tiny.yaml"
    settings.write_text(TINY)
    out = tmp_path / "run"
    point = Point("testing", 1, "before", signal=signal.SIGTERM)
    given = ["fit", "-c", settings, "--strategy", "random", "--out", out]
    ended = Ranks(die, point, *given, ranks=1, folder=tmp_path)
    assert ended.wait() == [130], ended.said()
    assert f"Resume with: alseg fit --resume {out}" in ended.said()
    assert "before" not in json.loads((out / "summary.json").read_text())

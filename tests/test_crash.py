"""A run that is killed at any moment goes on to the same label store."""

import json
import os
import random
import signal

import pytest

from alseg.active import LabelStore
from tests.dying import Point, count, die
from tests.folders import digests
from tests.processes import Ranks, alseg, run_ranks
from tests.toys import TINY

SETTINGS = ["--strategy", "ripu", "--steps", "6", "--rounds", "3", "--pictures", "0"]


class Whole:
    """A run that is never killed, on one process or on two."""

    def __init__(self, folder, ranks):
        self.ranks = ranks
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
        return ["fit", "-c", self.settings, "--out", out, "--devices", self.ranks, *SETTINGS]

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

"""A run that is killed at any moment goes on to the same label store."""

import json
import os
import random
import signal
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from alseg.labels import LabelStore
from tests.helpers.archives import digests
from tests.helpers.dying import Point, count, die
from tests.helpers.processes import Ranks, alseg, run_ranks
from tests.helpers.toys import TINY
from tests.helpers.trees import write_four_channels, write_image

SETTINGS = ["--strategy", "ripu", "--steps", "6", "--rounds", "3", "--pictures", "0"]

PLUG_INS = {
    "density": "tests.active.test_fitting:Density",
    "discrepancy": "tests.active.test_scores:Discrepancy",
}
"""Strategies of another distribution: one looks at source and pool, one at the network before."""


def install(folder):
    """Announce the plug-ins as a distribution that is installed in a folder."""
    about = folder / "plug_ins-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-ins\nVersion: 1.0\n")
    points = "\n".join(f"{name} = {where}" for name, where in PLUG_INS.items())
    (about / "entry_points.txt").write_text(f"[alseg.strategies]\n{points}\n")


def where_installed(folder, target, *arguments):
    """Be a process that finds what is installed in a folder."""
    sys.path.insert(0, str(folder))
    target(*arguments)


class Whole:
    """A run that is never killed, on one process or on two."""

    def __init__(self, folder, ranks, *more):
        self.folder = folder
        self.ranks = ranks
        self.more = more
        install(folder)
        self.settings = folder / "tiny.yaml"
        self.settings.write_text(TINY)
        command = self.command(folder / "run")
        run_ranks(where_installed, folder, count, folder, *command, ranks=ranks, folder=folder)
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
    here = where_installed, whole.folder
    killed = Ranks(*here, die, point, *whole.command(out), ranks=whole.ranks, folder=folder)
    assert killed.wait()[point.rank] == -signal.SIGKILL, killed.said()
    begun = (out / "config.yaml").exists()
    again = ["fit", "--resume", out] if begun else whole.command(out)
    run_ranks(*here, alseg, *again, ranks=whole.ranks, folder=folder)
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


@pytest.fixture(
    scope="module", params=["density", pytest.param("discrepancy", marks=pytest.mark.slow)]
)
def by_plug_in(request, tmp_path_factory):
    """Runs by a strategy of another distribution, on one process and on two."""
    name = request.param
    # A start on the source would be trained on other batches by two processes than by one.
    more = ["--strategy", name, "--warm-start-steps", "0"]
    return [Whole(tmp_path_factory.mktemp(f"{name}-{ranks}"), ranks, *more) for ranks in (1, 2)]


def test_a_plug_in_picks_the_same_on_two_processes_as_on_one(by_plug_in):
    # From the second round on the networks differ, trained on other batches.
    first = [
        {name: digest for name, digest in whole.labels.items() if "round-001" in str(name)}
        for whole in by_plug_in
    ]
    assert len(first[0]) == 2
    assert first[0] == first[1]
    for whole in by_plug_in:
        store = LabelStore.open(whole.folder / "run" / "labels")
        assert store.settings(3)["strategy"] == whole.more[1]
        asked = [store.queries(image.id, 3) for image in store.images]
        scores = np.concatenate([queries.scores for queries in asked if queries is not None])
        assert len(set(scores)) > 5


@pytest.mark.parametrize("number", numbers(1, 6))
@pytest.mark.parametrize("place", [0, 1], ids=["alone", "of-two"])
def test_a_run_by_a_plug_in_that_is_killed_ends_with_the_same_labels(
    by_plug_in, tmp_path, place, number
):
    check_a_killed_run(by_plug_in[place], number, tmp_path)


def test_a_run_on_four_channels_of_16_bits_that_is_killed_ends_with_the_same_bytes(
    tmp_path,
):
    settings = tmp_path / "four.yaml"
    kept = [line for line in TINY.splitlines() if not line.startswith(("source", "target"))]
    source, target = (write_four_channels(tmp_path, name) for name in ("theirs", "mine"))
    settings.write_text("\n".join([*kept, f"source: {source}", f"target: {target}"]))
    given = ["fit", "-c", settings, "--strategy", "ripu", "--augmentation", "strong"]
    run_ranks(alseg, *given, "--out", tmp_path / "whole", ranks=1, folder=tmp_path)
    out = tmp_path / "run"
    killed = Ranks(
        die, Point("training", 2 + 3, "before"), *given, "--out", out, ranks=1, folder=tmp_path
    )
    assert killed.wait() == [-signal.SIGKILL], killed.said()
    run_ranks(alseg, "fit", "--resume", out, ranks=1, folder=tmp_path)
    assert digests(out / "labels") == digests(tmp_path / "whole" / "labels")
    there, here = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (tmp_path / "whole", out)
    )
    assert here["segmenter.network.encoder.features.0.0.weight"].shape[1] == 4
    assert all(torch.equal(here[name], there[name]) for name in there)

    images, last = tmp_path / "mine/images/test", out / "checkpoints/last.ckpt"
    run_ranks(alseg, "predict", last, images, "-o", tmp_path / "out", ranks=1, folder=tmp_path)
    with Image.open(tmp_path / "out/labels/0.png") as label:
        assert label.size == (64, 48)
    write_image(tmp_path / "photos/rgb.png", (48, 64))
    refused = Ranks(
        alseg, "predict", last, tmp_path / "photos", "-o", tmp_path / "no", ranks=1, folder=tmp_path
    )
    assert refused.wait() == [1]
    assert "rgb.png has 3 channels; images of 4 channels are asked for" in refused.said()


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

"""Queries about images, chosen by the network of a checkpoint."""

import numpy as np
import pytest
import torch
from PIL import Image
from tests.active.test_scores import Discrepancy
from tests.cli.test_manual import answer
from tests.helpers.archives import digests
from tests.helpers.toys import TINY

from alseg.cli.main import main
from alseg.data import open_dataset
from alseg.labels import LabelStore
from alseg.queries.asked_files import open_round
from alseg.runs.checkpoint import load_module
from alseg_strategies import Strategy, register, registry

STRATEGY = ["--strategy", "ripu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of five images, and a run that asks people about them."""
    root = tmp_path_factory.mktemp("trained")
    pool = open_dataset("scenes:dusk", "train", size=[48, 64], count=5)
    (root / "images/train").mkdir(parents=True)
    for index in range(5):
        Image.fromarray(pool.image(index)).save(root / "images/train" / f"{index}.png")
    classes = ", ".join(pool.label_space.classes)
    (root / "mine.yaml").write_text(f"images: images\nclasses: [{classes}]\n")
    (root / "tiny.yaml").write_text(TINY)
    command = ["fit", "-c", root / "tiny.yaml", "--target", f"folder:{root / 'mine.yaml'}"]
    command += ["--target-options", "{}", "--annotator", "manual", *STRATEGY, "--out", root / "run"]
    assert main([str(word) for word in [*command, "--budget", "4 regions"]]) == 0
    return root


def ask(trained, out, budget, *more):
    command = ["query", trained / "run/checkpoints/source.ckpt", trained / "images", *STRATEGY]
    command += ["--budget", budget, "-o", out, "--progress", "false", *more]
    return main([str(word) for word in command])


@pytest.fixture
def out(trained, tmp_path, capsys):
    assert ask(trained, tmp_path / "out", "2 regions") == 0
    assert "Queries of round 1: 10, in 5 images." in capsys.readouterr().out
    return tmp_path / "out"


def places(asked):
    return [(query.image, query.row, query.column, query.guess) for query in asked.queries]


def test_a_checkpoint_asks_what_the_run_asks_that_it_comes_from(trained, out):
    by_run = places(open_round(trained / "run", 1))
    by_query = places(open_round(out, 1))
    assert by_query == [(f"train/{image}", *place) for image, *place in by_run]


def test_answers_become_labels_and_the_next_round_asks_for_the_rest(trained, out, capsys):
    asked = answer(out, lambda query: query.guess)
    labels = out.parent / "labels"
    assert main(["labels", "export", str(out), "-o", str(labels)]) == 0
    for image in asked.images.values():
        expected = np.full((image.height, image.width), 255)
        for query in asked.queries:
            if query.image == image.id:
                expected[query.top : query.bottom, query.left : query.right] = query.guess
        file = next(labels.rglob(f"{image.id}.png"))
        assert np.array_equal(np.array(Image.open(file)), expected)
    assert ask(trained, out, "2 regions") == 0
    assert "The budget is spent: 10 regions were asked for in 1 rounds." in capsys.readouterr().out
    assert ask(trained, out, "3 regions") == 0
    later = open_round(out, 2)
    assert len(later.queries) == 5
    for query in later.queries:
        for earlier in asked.queries:
            if earlier.image == query.image:
                apart = max(abs(earlier.row - query.row), abs(earlier.column - query.column))
                assert apart > 6


def test_an_exhausted_pool_is_told(trained, tmp_path, capsys):
    wide = ["--exclusion-radius", "63"]
    for said in ("Queries of round 1: 5, in 5 images. The pool is exhausted: 5 regions", ""):
        assert ask(trained, tmp_path / "out", "2 regions", *wide) == 0
        assert said in (told := capsys.readouterr().out)
        answer(tmp_path / "out", lambda query: 1)
    assert "The pool is exhausted: 5 regions were asked for in 1 rounds." in told


def test_labels_of_an_earlier_round_are_written_while_a_later_one_waits(trained, out):
    answer(out, lambda query: 1)
    assert ask(trained, out, "3 regions") == 0
    command = ["labels", "export", str(out), "-o", str(out.parent / "labels")]
    assert main([*command, "--round", "1"]) == 0
    assert LabelStore.open(out / "labels").rounds == 1


def test_an_unanswered_round_is_refused_or_taken_in_by_part(trained, out, capsys):
    before = digests(out)
    assert ask(trained, out, "3 regions") == 2
    assert "10 of 10 are not answered" in capsys.readouterr().err
    assert main(["labels", "export", str(out), "-o", str(out.parent / "labels")]) == 2
    assert digests(out) == before
    first = open_round(out, 1).queries[0]
    answer(out, lambda query: 1 if query == first else None)
    capsys.readouterr()
    assert ask(trained, out, "3 regions", "--partial") == 0
    said = capsys.readouterr().out
    assert "Round 1 is closed: 1 regions with" in said
    assert "9 queries were skipped or not answered" in said
    assert LabelStore.open(out / "labels").regions == 1
    assert len(open_round(out, 2).queries) == 14


@pytest.mark.parametrize("answered", [1, 9, 10])
def test_writing_labels_leaves_the_round_open_and_its_answers_can_be_added_to(
    trained, out, capsys, answered
):
    queries = open_round(out, 1).queries
    answer(out, lambda query: 2 if query in queries[:answered] else None)
    before = digests(out)
    partial = ["--partial"] if answered < len(queries) else []
    assert main(["labels", "export", str(out), "-o", str(out.parent / "some"), *partial]) == 0
    said = capsys.readouterr().out
    assert f"Round 1 stays open; so far {answered} regions with" in said
    written = [np.array(Image.open(file)) for file in (out.parent / "some").rglob("*.png")]
    pixels = sum((q.bottom - q.top) * (q.right - q.left) for q in queries[:answered])
    assert sum((label == 2).sum() for label in written) == pixels
    assert digests(out) == before
    assert LabelStore.open(out / "labels").rounds == 0
    answer(out, lambda query: 2)
    assert main(["labels", "export", str(out), "-o", str(out.parent / "all")]) == 0
    assert "so far 10 regions with" in capsys.readouterr().out


def test_other_images_or_a_training_run_are_refused(trained, out, capsys):
    assert ask(trained, trained / "run", "3 regions") == 2
    assert "is the folder of a training run" in capsys.readouterr().err
    answer(out, lambda query: 1)
    checkpoint, image = trained / "run/checkpoints/source.ckpt", trained / "images/train/0.png"
    assert main(["query", str(checkpoint), str(image), *STRATEGY, "-o", str(out)]) == 2
    assert "The pool lacks the image" in capsys.readouterr().err


def test_images_of_sixteen_bits_are_scaled_by_the_range_of_all(trained, tmp_path, capsys):
    for number, top in enumerate((900, 4000)):
        values = np.zeros((48, 64), dtype=np.uint16)
        values[20:, 30:] = top
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "images" / f"{number}.png")
    command = ["query", trained / "run/checkpoints/source.ckpt", tmp_path / "images", *STRATEGY]
    command += ["--budget", "2 regions", "-o", tmp_path / "out", "--progress", "false"]
    assert main([str(word) for word in command]) == 0
    assert "Values: scaled from 0 to 4000, the range of these images" in capsys.readouterr().out


@pytest.fixture
def comparing(trained, monkeypatch):
    """Options of a strategy that compares with the network of the round before; a later network."""
    monkeypatch.setattr(registry, "_registered", {})
    register("discrepancy", Discrepancy)
    checkpoint = torch.load(trained / "run/checkpoints/source.ckpt", weights_only=True)
    bias = checkpoint["state_dict"]["segmenter.head.classifier.bias"]
    bias += torch.linspace(0, 1, len(bias))
    torch.save(checkpoint, trained / "later.ckpt")
    return ["--strategy", "discrepancy", "--previous", str(trained / "later.ckpt")]


def test_a_query_compares_with_the_network_that_is_named(trained, tmp_path, comparing):
    out = tmp_path / "out"
    assert ask(trained, out, "2 regions", *comparing) == 0
    paths = ("run/checkpoints/source.ckpt", "later.ckpt")
    now, before = (load_module(str(trained / path), "cpu") for path in paths)
    for module in (now, before):
        module.flip = False
    asked = open_round(out, 1)
    assert len(asked.queries) == 10
    for query in asked.queries:
        image = np.array(Image.open(trained / "images" / f"{query.image}.png"))
        shares = [module.class_probabilities(image).astype(float) for module in (now, before)]
        expected = ((shares[0] - shares[1]) ** 2).sum(0)[query.row, query.column] / 2
        assert query.score == pytest.approx(expected, rel=1e-4)


def test_the_network_of_the_round_before_is_named_where_it_is_compared_with(
    trained, tmp_path, comparing, capsys
):
    assert ask(trained, tmp_path / "out", "2 regions", *comparing[:2]) == 2
    assert "name the checkpoint of that one with --previous" in capsys.readouterr().err
    assert ask(trained, tmp_path / "out", "2 regions", *comparing[2:]) == 2
    assert "ripu does not look at the network of the round before" in capsys.readouterr().err
    checkpoint = torch.load(trained / "later.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["label_space"]["classes"][0] = "else"
    torch.save(checkpoint, trained / "else.ckpt")
    other = [*comparing[:3], str(trained / "else.ckpt")]
    assert ask(trained, tmp_path / "out", "2 regions", *other) == 2
    assert "Name two checkpoints of the same classes" in capsys.readouterr().err
    for setting, value, message in (
        ("eval_size", [32, 32], "at 32×32 pixels, CKPT at their own size. Name two checkpoints of"),
        ("in_channels", 4, "takes images of 4 channels, CKPT of 3 channels. Name two checkpoints"),
    ):
        checkpoint = torch.load(trained / "later.ckpt", weights_only=True)
        settings = checkpoint["hyper_parameters"]
        (settings if setting in settings else settings["network"])[setting] = value
        if setting == "in_channels":
            for name, weights in checkpoint["state_dict"].items():
                if weights.ndim == 4 and weights.shape[1] == 3:
                    checkpoint["state_dict"][name] = weights[:, [0, 1, 2, 0]]
        torch.save(checkpoint, trained / "else.ckpt")
        assert ask(trained, tmp_path / "out", "2 regions", *other) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Latest(Strategy):
    """Asks first for the images of the pool that its fit saw last."""

    level = "pool"

    def fit(self, source, pool, generator=None, round=None):
        assert list(source) == []
        self.place = {signals.names[0]: place for place, signals in enumerate(pool)}
        assert round.due == 2

    def score(self, signals, generator=None):
        return torch.tensor([float(self.place[name]) for name in signals.names])


@pytest.mark.parametrize("level", ["image", "pool"])
def test_whole_images_are_asked_for_by_a_strategy_that_ranks_them(
    trained, tmp_path, monkeypatch, level
):
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(Latest, "level", level)
    register("latest", Latest)
    whole = ["--strategy", "latest", "--region", "image"]
    assert ask(trained, tmp_path / "out", "2 images", *whole) == 0
    asked = open_round(tmp_path / "out", 1)
    assert sorted(query.image for query in asked.queries) == ["train/3", "train/4"]
    assert {query.score for query in asked.queries} == {3.0, 4.0}

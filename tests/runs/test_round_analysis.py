import json

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.rounds import hold_round
from tests.helpers.toys import SPACE, TINY, Toy

from alseg.active import OracleAnnotator
from alseg.active.signals import SignalSource
from alseg.cli.main import main
from alseg.data.transforms import eval_transform
from alseg.labels import LabelStore, PoolImage
from alseg.models import Network
from alseg.runs.folder import RunFolder
from alseg.runs.round_analysis import WIDTH, RoundAnalysis
from alseg.training.module import SegmentationModule


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    # Without the mirror image, `segment` gives what one look at the image gives.
    return SegmentationModule(
        SPACE, network=Network(encoder_weights="none", head="hyperbolic"), flip=False
    )


def held_round(folder, pool, answers, budget="10%", rounds=1):
    """Hold rounds on random scores; return the run's folder, the store and the scores."""
    run = RunFolder(folder)
    images = [PoolImage(name, *pool.size(index)) for index, name in enumerate(pool.ids)]
    store = LabelStore.create(run.labels, images, SPACE.classes)
    rng = np.random.default_rng(1)
    scores = {index: torch.from_numpy(rng.random(pool.size(index))) for index in range(len(pool))}
    for number in range(1, rounds + 1):
        oracle = OracleAnnotator(lambda name: answers.label(pool.ids.index(name)))
        hold_round(store, scores.items(), oracle, number=number, rounds=rounds, budget=budget)
    return run, store, scores


def analysed(run, pool, module, scores):
    RoundAnalysis(pool, run, module)(1, None, scores)
    return json.loads((run.analysis / "round-001.json").read_text())


def test_picks_and_places_are_those_of_the_whole_sample(tmp_path, module):
    pool = Toy(3)
    run, store, scores = held_round(tmp_path, pool, pool)
    found = analysed(run, pool, module, scores)
    labels = [pool.label(index) for index in range(3)]
    picked = [store.asked(name) for name in pool.ids]
    pairs = list(zip(labels, picked, strict=True))
    sums = found["sums"]
    assert sums["pool_classes"] == [sum(np.sum(a == c) for a in labels) for c in range(3)]
    assert sums["picked_classes"] == [sum(np.sum(a[p] == c) for a, p in pairs) for c in range(3)]
    assert sum(sums["picked_distances"]) == sum(p.sum() for p in picked) == store.asked_pixels


def test_errors_and_radii_are_those_of_the_network_on_the_sample(tmp_path, module):
    pool = Toy(3)
    run, store, scores = held_round(tmp_path, pool, pool)
    module.train()
    sums = analysed(run, pool, module, {1: scores[1]})["sums"]
    assert module.training
    assert not module.segmenter.head._forward_pre_hooks
    wrong = asked_wrong = 0
    radius = np.zeros(3)
    for index in range(3):
        label, image = pool.label(index), pool.image(index)
        missed = (module.segment(image) != label) & (label != 255)
        wrong += missed.sum()
        asked_wrong += (missed & store.asked(pool.ids[index])).sum()
        module.eval()
        shown = eval_transform(image, None)
        radii = SignalSource(module).look(shown, "0", {"radius"}, (32, 48)).radius[0].numpy()
        radius += [radii[label == c].sum() for c in range(3)]
    assert sums["wrong"] == [wrong]
    assert sums["asked_wrong"] == [asked_wrong]
    assert sums["class_radius"] == pytest.approx(radius, rel=1e-5)
    assert sum(sums["radius_counts"]) == sums["pixels"][0] == 3 * (32 * 48 - 1)
    # The radius is twice the norm of what is mapped into the ball, until it saturates.
    assert sums["class_norm"] == pytest.approx(radius / 2, rel=1e-4)


def test_the_picks_of_other_rounds_are_none_of_a_round(tmp_path, module):
    pool = Toy(2)
    run, store, scores = held_round(tmp_path, pool, pool, rounds=2)
    # As it is when a run goes on: the store has more than the round that is told of.
    sums = analysed(run, pool, module, scores)["sums"]
    maps = [store.round_map(name) for name in pool.ids]
    asked = sum(np.sum(of == 1) for of in maps)
    assert 0 < asked < sum(np.sum(of > 0) for of in maps)
    assert sum(sums["picked_classes"]) + sums["picked_void"][0] == asked
    assert sum(sums["picked_distances"]) == asked


def test_the_network_is_looked_at_as_it_scores(tmp_path):
    torch.manual_seed(0)
    module = SegmentationModule(
        SPACE,
        network=Network(encoder_weights="none", head="hyperbolic", curvature=4.0),
        eval_size=(16, 24),
        flip=False,
    )
    pool = Toy(1)
    run, _, scores = held_round(tmp_path, pool, pool)
    found = analysed(run, pool, module, scores)
    label, image = pool.label(0), pool.image(0)
    shown = eval_transform(image, (16, 24))
    seen = SignalSource(module.eval()).look(shown, "0", {"logits"}, (32, 48))
    assert seen.logits.shape[-2:] == (32, 48)
    share = seen.logits[0].softmax(0).numpy().astype(np.float64)
    # In units of the entropy of three classes that are all as likely.
    entropy = -(share * np.log(share)).sum(0) / np.log(3)
    sums = found["sums"]
    by_class = [entropy[label == c].sum() for c in range(3)]
    assert sums["class_entropy"] == pytest.approx(by_class, rel=1e-4)
    assert sums["wrong"] == [np.sum((share.argmax(0) != label) & (label != 255))]
    # In a ball of curvature c all lengths are those of curvature 1 over its root.
    assert found["rim"] == pytest.approx(12.206 / 2, rel=1e-4)


def test_pictures_are_small_and_a_single_window_is_still_seen(tmp_path, module):
    pool = Toy(1, (160, 960))
    run, store, scores = held_round(tmp_path, pool, pool, "1 region")
    image = analysed(run, pool, module, scores)["images"][0]
    assert list(image["panels"]) == ["image", "score", "picks", "errors"]
    pictures = {k: Image.open(run.analysis / name) for k, name in image["panels"].items()}
    assert {picture.size for picture in pictures.values()} == {(WIDTH, 40)}
    asked = store.asked(pool.ids[0]).reshape(40, 4, WIDTH, 4).any(axis=(1, 3))
    red, _, blue = np.moveaxis(np.asarray(pictures["picks"]).astype(int), -1, 0)
    yellow = red - blue
    assert yellow[asked].min() > 60
    # JPEG blurs colours over blocks of 16 pixels.
    rows, columns = np.nonzero(asked)
    near = [slice(max(at.min() - 16, 0), at.max() + 16) for at in (rows, columns)]
    yellow[tuple(near)] = 0
    assert abs(yellow).max() < 10


def test_no_two_images_share_a_picture(tmp_path, module):
    pool = Toy(2)
    pool.ids = ["street/1", "street_1"]
    run, _, scores = held_round(tmp_path, pool, pool)
    images = analysed(run, pool, module, scores)["images"]
    assert [image["id"] for image in images] == pool.ids
    paths = [run.analysis / name for image in images for name in image["panels"].values()]
    assert len(set(paths)) == 8
    assert all(path.is_file() for path in paths)


def test_without_labels_only_what_was_answered_is_told(tmp_path, module):
    pool = Toy(2, labels=False)
    run, _, scores = held_round(tmp_path, pool, Toy(2))
    found = analysed(run, pool, module, scores)
    assert set(found["sums"]) == {"picked_classes", "picked_void"}
    assert "errors" not in found["images"][0]["panels"]
    assert pool.labels_read == 0


def test_a_linear_head_has_a_norm_and_no_radius(tmp_path):
    pool = Toy(2)
    run, _, scores = held_round(tmp_path, pool, pool)
    linear = SegmentationModule(SPACE, network=Network(encoder_weights="none"))
    found = analysed(run, pool, linear, scores)
    assert found["rim"] is None
    assert "class_radius" not in found["sums"]
    assert min(found["sums"]["class_norm"]) > 0


def test_a_run_is_analysed_and_compared(tmp_path):
    settings = tmp_path / "tiny.yaml"
    settings.write_text(TINY)
    run = tmp_path / "runs" / "halo"
    assert main(["fit", "-c", str(settings), "--strategy", "halo", "--out", str(run)]) == 0
    rounds = [json.loads(path.read_text()) for path in sorted((run / "analysis").glob("*.json"))]
    assert [content["round"] for content in rounds] == [1, 2]
    report = tmp_path / "report.html"
    assert main(["compare", str(tmp_path / "runs"), "-o", str(report)]) == 0
    page = report.read_text()
    assert "hyperbolic radius against class share" in page
    # The image and its errors once, score and picks in both rounds.
    assert page.count("data:image/jpeg;base64,") == 2 + 2 * 2

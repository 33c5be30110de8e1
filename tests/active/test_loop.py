import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests.helpers.toys import SPACE, Toy, quiet_trainer

from alseg.active import ActiveLoop, Annotator
from alseg.active.round import spread
from alseg.data.module import SegmentationDataModule
from alseg.errors import BudgetError, ConfigError, LabelStoreError, PoolExhausted
from alseg.labels import LabelStore, Windows
from alseg.models import Network
from alseg.training.module import SegmentationModule


def module(head="linear", **settings):
    network = Network(encoder_weights="none", head=head)
    torch.manual_seed(0)
    return SegmentationModule(SPACE, network=network, **{"seed": 0, **settings})


def data(target, **settings):
    defaults = {"source": Toy(6, seed=1), "test": Toy(3, split="test"), "batch_size": 2}
    return SegmentationDataModule(target=target, **{**defaults, **settings})


def trainer(folder, *callbacks, steps=6, **settings):
    return quiet_trainer(folder, steps, callbacks=list(callbacks), **settings)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(("strategy", "head"), [("ripu", "linear"), ("halo", "hyperbolic")])
def test_a_run_spends_its_budget_and_evaluates(tmp_path, strategy, head):
    loop = ActiveLoop(strategy, 0.05, rounds=3, progress=False)
    runner = trainer(tmp_path, loop)
    network, images = module(head=head), data(Toy(5))
    runner.fit(network, images)
    asked = sum((loop.store.round_map(image_id) > 0).sum() for image_id in Toy(5).ids)
    assert abs(asked - 0.05 * 5 * 32 * 48) < 9
    figures = runner.test(network, images, verbose=False)[0]
    assert 0 <= figures["test/mIoU"] <= 1


def test_rounds_are_spaced_evenly_from_step_0(tmp_path):
    loop = ActiveLoop("random", "2 regions", rounds=3, progress=False)
    trainer(tmp_path, loop, steps=7).fit(module(), data(Toy(2)))
    assert [loop.store.settings(number)["step"] for number in (1, 2, 3)] == [0, 2, 4]


class Person(Annotator):
    """Answers from what it was shown, for a pool whose labels do not exist."""

    name = "a script"

    def label(self, image_id, asked):
        return np.where(asked, 1, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("length", "count", "ranks", "expected"),
    [
        (8, 4, 1, [1, 3, 5, 7]),
        (9, 3, 1, [1, 4, 7]),
        # The first of two ranks scores 0, 2, 4, ...
        (8, 2, 2, [2, 6]),
        (3, 4, 2, [0, 2]),
        (5, 0, 1, []),
    ],
)
def test_score_maps_are_kept_of_images_spread_over_those_of_the_first_rank(
    length, count, ranks, expected
):
    assert spread(length, count, ranks) == expected


def test_a_pool_without_labels_can_be_scored_asked_about_and_trained_on(tmp_path):
    pool = Toy(3, labels=False)
    loop = ActiveLoop("entropy", 0.05, rounds=2, annotator=Person(), progress=False)
    trainer(tmp_path, loop, steps=4).fit(module(protocol="target_only"), data(pool, source=None))
    labels = np.concatenate([loop.store.label(image_id).ravel() for image_id in pool.ids])
    assert set(labels) == {1, 255}
    assert loop.store.settings(2)["annotator"] == "a script"


def test_who_answers_is_an_annotator():
    with pytest.raises(ConfigError, match="annotator is a int; subclass alseg.active.Annotator"):
        ActiveLoop("random", 0.05, annotator=7)


def test_the_labels_seen_in_training_are_those_that_were_asked_for(tmp_path):
    pool = Toy(4)
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(int((batch["target"]["label"] != 255).sum()))

    loop = ActiveLoop("margin", "6 regions", rounds=3, progress=False)
    images = data(pool, batch_size=4, augmentation="none")
    trainer(tmp_path, loop, Watch(), steps=6).fit(module(), images)
    known = [
        sum(int((loop.store.label(image_id, r) != 255).sum()) for image_id in pool.ids)
        for r in (1, 2, 3)
    ]
    assert seen == [known[0]] * 2 + [known[1]] * 2 + [known[2]] * 2
    assert known[0] < known[1] < known[2]


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stopped_at", [1, 3, 4, 5])
def test_a_resumed_run_ends_with_the_store_and_weights_of_a_run_never_stopped(tmp_path, stopped_at):
    def run(folder, *callbacks):
        loop = ActiveLoop("ripu", 0.05, rounds=3, progress=False, checkpoint=folder / "last.ckpt")
        network = module()
        runner = trainer(folder, *callbacks, loop, steps=6)
        last = folder / "last.ckpt"
        runner.fit(network, data(Toy(5)), ckpt_path=last if last.exists() else None)
        return network

    whole = run(tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path / "stopped", Stop(stopped_at))
    resumed = run(tmp_path / "stopped")
    assert contents(tmp_path / "stopped" / "labels") == contents(tmp_path / "whole" / "labels")
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_batch_of_an_earlier_round_is_refused(tmp_path):
    class Stale(SegmentationDataModule):
        def use_labels(self, labels, label_round):
            super().use_labels(labels, min(label_round, 1))

    images = Stale(source=Toy(2), target=Toy(2), batch_size=2)
    loop = ActiveLoop("random", 0.05, rounds=2, progress=False)
    with pytest.raises(RuntimeError, match=r"round \[1\], but the current round is 2"):
        trainer(tmp_path, loop, steps=4).fit(module(), images)


def test_halo_without_a_hyperbolic_head_is_refused_before_anything_is_computed(tmp_path):
    loop = ActiveLoop("halo", 0.05, progress=False)
    with pytest.raises(ConfigError, match="head='hyperbolic'"):
        trainer(tmp_path, loop).fit(module(head="linear"), data(Toy(2)))
    assert not (tmp_path / "labels").exists()


@pytest.mark.parametrize("steps", [[3, 1], [0, 0], [-1, 2], [2, 6]])
def test_steps_of_rounds_that_cannot_be_are_refused(tmp_path, steps):
    loop = ActiveLoop("random", 0.05, round_steps=steps, progress=False)
    with pytest.raises(ConfigError, match="round_steps"):
        trainer(tmp_path, loop).fit(module(), data(Toy(2)))


def test_a_protocol_that_asks_for_nothing_refuses_the_loop(tmp_path):
    loop = ActiveLoop("random", 0.05, progress=False)
    with pytest.raises(ConfigError, match="asks for no labels"):
        trainer(tmp_path, loop).fit(module(protocol="source_only"), data(Toy(2)))


def test_the_committed_store_can_be_opened_by_itself(tmp_path):
    loop = ActiveLoop("random", 0.05, rounds=2, progress=False)
    trainer(tmp_path, loop).fit(module(), data(Toy(3)))
    assert LabelStore.open(tmp_path / "labels").rounds == 2


def test_a_store_of_a_run_with_other_settings_is_refused(tmp_path):
    first = ActiveLoop("random", 0.05, rounds=2, progress=False)
    trainer(tmp_path, first, steps=2).fit(module(), data(Toy(3)))
    other = ActiveLoop("entropy", 0.10, rounds=2, progress=False)
    with pytest.raises(LabelStoreError, match=r"budget was 0\.05, is 0\.1.*strategy was random"):
        trainer(tmp_path, other, steps=2).fit(module(), data(Toy(3)))


def test_a_budget_of_half_a_region_or_less_is_refused_before_anything_is_computed(tmp_path):
    # 2 images of 32×48 have 3,072 pixels. Half a region of radius 3 is 24.5, of radius 4 40.5, and
    # of one that is larger than the image 768.
    for budget, radius in ((25 / 3072, 3), (41 / 3072, 4), (769 / 3072, 500), ("1 region", 500)):
        ActiveLoop("random", budget, region=Windows(radius), rounds=1).check(module(), Toy(2), 4)
    for budget, radius, size in ((24 / 3072, 3, "49"), (40 / 3072, 4, "81"), (0.25, 500, "1,536")):
        loop = ActiveLoop("random", budget, region=Windows(radius), rounds=1)
        with pytest.raises(BudgetError, match=f"half of one region of {size} pixels"):
            loop.check(module(), Toy(2), 4)


def test_the_windows_of_a_strategy_follow_those_that_are_labelled():
    assert ActiveLoop("ripu", 0.05, region=Windows(3)).strategy.radius == 3
    assert ActiveLoop("ripu", 0.05, region=Windows(0)).strategy.radius == 1
    given = ActiveLoop("ripu", 0.05, region=Windows(3), strategy_options={"radius": 2})
    assert given.strategy.radius == 2


@pytest.mark.parametrize(
    ("strategy", "options", "radius", "given", "exclusion"),
    [
        ("halo", {}, 1, None, 5),
        ("halo", {}, 6, None, 6),
        ("halo", {}, 1, 2, 2),
        ("ripu", {}, 3, None, 6),
        ("ripu", {"mode": "pixel", "radius": 32}, 0, None, 32),
        ("random", {}, 1, 4, 4),
    ],
)
def test_the_exclusion_is_that_of_the_strategy_unless_given(
    strategy, options, radius, given, exclusion
):
    loop = ActiveLoop(strategy, 0.05, strategy_options=options, region=Windows(radius, given))
    assert loop.region.exclusion == exclusion


def test_what_a_round_was_asked_for_with_is_written_down_in_numbers(tmp_path):
    loop = ActiveLoop("halo", 0.05, rounds=1, region=Windows(clipped="any"), progress=False)
    trainer(tmp_path, loop, steps=1).fit(module(head="hyperbolic"), data(Toy(2)))
    kept = loop.store.settings(1)
    assert kept["region"] == {
        "shape": "windows",
        "radius": 1,
        "exclusion_radius": 5,
        "clipped": "any",
    }
    assert (kept["strategy"], kept["annotator"]) == ("halo", "oracle")


def test_an_exhausted_pool_is_reported_with_the_shortfall(tmp_path):
    loop = ActiveLoop("random", 0.9, rounds=2, progress=False)
    with pytest.warns(PoolExhausted, match="pixels of the budget were not spent"):
        trainer(tmp_path, loop, steps=2).fit(module(), data(Toy(2)))
    asked = sum((loop.store.round_map(image_id) > 0).sum() for image_id in Toy(2).ids)
    assert loop.shortfall == round(0.9 * 2 * 32 * 48) - asked

"""A label store belongs to one run: it is resumed by that run alone."""

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tests.helpers.toys import SPACE, Toy

from alseg.active import ActiveLoop
from alseg.active.identity import check_same_run, identity
from alseg.data.label_space import LabelSpace
from alseg.data.module import SegmentationDataModule
from alseg.errors import LabelStoreError
from alseg.labels import LabelStore, PoolImage, Windows
from alseg.labels.region_shape import write_region
from alseg.models import Network, Optimization
from alseg.training.module import SegmentationModule
from alseg.training.terms import LossTerm


def run(folder, *, store=None, logger=False, ckpt_path=None, steps=4, weights=0, **changes):
    """Train as a script does, and return its loop.

    Args:
        folder: The trainer's folder.
        store: The label store, if it is named.
        logger: The trainer's logger.
        ckpt_path: What to resume from.
        steps: Steps of the training.
        weights: The seed that the weights are drawn from.
        changes: Settings of the network, of the data or of the loop, by the names below.
    """
    torch.manual_seed(weights)
    network = SegmentationModule(
        changes.get("space", SPACE),
        network=Network(
            encoder=changes.get("encoder", "mobilenet_v2"),
            encoder_weights="none",
            head=changes.get("head", "linear"),
        ),
        optimization=Optimization(learning_rate=changes.get("learning_rate", 1e-4)),
        seed=changes.get("network_seed", 0),
    )
    target = changes.get("target", Toy(3))
    target.label_space = changes.get("space", SPACE)
    data = SegmentationDataModule(
        source=changes.get("source", Toy(4, seed=1)),
        target=target,
        batch_size=2,
        seed=changes.get("data_seed", 0),
    )
    loop = ActiveLoop(
        changes.get("strategy", "random"),
        0.05,
        rounds=2,
        region=Windows(changes.get("radius", 1)),
        seed=changes.get("loop_seed", 0),
        store=store,
        progress=False,
    )
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=folder,
        logger=logger,
        callbacks=[loop, *changes.get("callbacks", [])],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(network, data, ckpt_path=ckpt_path)
    return loop


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """The folder of a store that a run has filled."""
    folder = tmp_path_factory.mktemp("held")
    run(folder, store=folder / "mine")
    return folder


class Quadratic(LossTerm):
    """A term without state, as a script has it."""

    name = "quadratic"
    domains = ("target",)

    def __init__(self, weight=1.0, margin=0.5):
        super().__init__(weight)
        self.margin = margin

    def forward(self, step):
        return (step["target"].logits.square().mean() - self.margin).abs()


class Cubic(Quadratic):
    """Another term of the same name and settings."""


@pytest.mark.parametrize(
    ("term", "named"),
    [
        (Quadratic(1.0, 0.7), r"terms.quadratic.margin was 0.5, is 0.7"),
        (Quadratic(2.0), r"terms.quadratic.weight was 1.0, is 2.0"),
        (Cubic(), r"terms.quadratic.class was Quadratic, is Cubic"),
        (None, r"terms.quadratic.margin was 0.5, is None"),
        (Quadratic(), None),
    ],
)
def test_terms_of_ones_own_belong_to_what_a_run_is_known_by(term, named, tmp_path):
    class Mine(SegmentationModule):
        def configure_losses(self):
            own = [] if self.own is None else [self.own]
            return [*super().configure_losses(), *own]

    def known(own):
        Mine.own = own
        network = Mine(SPACE, network=Network(encoder_weights="none"))
        data = SegmentationDataModule(source=Toy(2, seed=1), target=Toy(3))
        return {"run": identity(network, data), "start": ""}

    first = known(Quadratic())
    assert first["run"]["network"]["class"].endswith("Mine")
    store = LabelStore.create(tmp_path, [PoolImage("one", 4, 4)], SPACE.classes)
    store.stage(1)
    store.commit(1, {"region": write_region(Windows()), **first}, [])
    later = {"region": write_region(Windows()), **known(term)}
    if named is None:
        check_same_run(store, lambda number: later)
    else:
        with pytest.raises(LabelStoreError, match=named):
            check_same_run(store, lambda number: later)


OTHER_CLASSES = LabelSpace("toy", ("left", "right", "below"), SPACE.colors)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoder": "resnet18"}, "encoder was mobilenet_v2, is resnet18"),
        ({"head": "hyperbolic"}, "head was linear, is hyperbolic"),
        ({"weights": 1}, "starts from other weights"),
        ({"network_seed": 1}, "network.seed was 0, is 1"),
        ({"data_seed": 1}, "data.seed was 0, is 1"),
        ({"loop_seed": 1}, "seed was 0, is 1"),
        ({"learning_rate": 1e-3}, "learning_rate was 0.0001, is 0.001"),
        ({"strategy": "entropy"}, "strategy was random, is entropy"),
        ({"target": Toy(3, seed=5)}, "images.target"),
        ({"source": Toy(4, seed=2)}, "images.source"),
        ({"source": Toy(5, seed=1)}, "images.source was 4 images .*, is 5 images"),
        ({"space": OTHER_CLASSES}, "classes left, right, bottom; this run has left, right, below"),
        ({"steps": 6}, "step was 2, is 3"),
    ],
)
def test_a_store_is_refused_to_another_run_before_anything_is_computed(held, changes, named):
    steps = []

    class Watch(L.Callback):
        def on_train_batch_start(self, *_):
            steps.append(1)

    with pytest.raises(LabelStoreError, match=named) as refused:
        run(held, store=held / "mine", callbacks=[Watch()], **changes)
    assert "Name another folder" in str(refused.value) or "start a new run" in str(refused.value)
    assert not steps


def test_the_same_run_started_again_takes_its_rounds_up(held):
    loop = run(held, store=held / "mine")
    assert loop.seconds["asking for labels"] == 0
    assert loop.store.rounds == 2


def test_two_runs_of_one_script_do_not_meet(tmp_path):
    loops = [run(tmp_path, logger=CSVLogger(tmp_path), weights=seed) for seed in (0, 1)]
    folders = [loop.store.folder for loop in loops]
    assert folders == [
        tmp_path / "lightning_logs" / f"version_{number}" / "labels" for number in (0, 1)
    ]
    assert all(loop.seconds["asking for labels"] > 0 for loop in loops)


def test_two_runs_without_a_logger_meet_in_the_folder_and_the_second_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(LabelStoreError, match="starts from other weights"):
        run(tmp_path, weights=1)


class Stop(L.Callback):
    """Saves a checkpoint at a step, and stops."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def stopped(folder, step, **changes):
    """Run until a step, and return the checkpoint that was saved there."""
    path = folder / f"stopped-{step}.ckpt"
    with pytest.raises(SystemExit):
        run(folder, logger=CSVLogger(folder), callbacks=[Stop(step, path)], **changes)
    return path


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_resumed_from_its_checkpoint_finds_its_store(tmp_path, step):
    whole = run(tmp_path / "whole").store
    checkpoint = stopped(tmp_path, step)
    first = tmp_path / "lightning_logs" / "version_0" / "labels"
    assert LabelStore.open(first).rounds == (1 if step == 1 else 2)
    # A process of its own draws other weights first; the checkpoint's replace them.
    loop = run(tmp_path, logger=CSVLogger(tmp_path), ckpt_path=checkpoint, weights=7)
    assert loop.store.folder == first
    names = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert names
    assert all((first / n).read_bytes() == (whole.folder / n).read_bytes() for n in names)


def test_a_checkpoint_of_another_run_is_refused_on_a_named_store(held, tmp_path):
    checkpoint = stopped(tmp_path, 3, weights=1)
    with pytest.raises(LabelStoreError, match="checkpoint to resume from is not of that run"):
        run(tmp_path, store=held / "mine", ckpt_path=checkpoint)


def test_a_resumed_run_with_another_strategy_is_refused(tmp_path):
    checkpoint = stopped(tmp_path, 3)
    with pytest.raises(LabelStoreError, match="strategy was random, is margin"):
        run(tmp_path, ckpt_path=checkpoint, strategy="margin")

"""Rounds in a training that shares no class with ours: its own module, data and pool."""

from types import MappingProxyType

import lightning as L
import numpy as np
import pytest
import torch
from tests.helpers.archives import digests
from tests.helpers.processes import run_ranks
from tests.helpers.toys import Toy, quiet_trainer
from torch import nn
from torch.nn import functional
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from alseg.active import ActiveLoop, People
from alseg.active.signals import SignalSource
from alseg.cli.main import main
from alseg.config.protocols import PROTOCOLS
from alseg.data.evaluation import pool_loader
from alseg.data.module import SegmentationDataModule
from alseg.errors import AnswersNeeded, ConfigError, DatasetError, LabelStoreError
from alseg.labels import LabelStore
from alseg.queries.asked_files import open_round
from alseg_strategies import Signals, Strategy
from alseg_strategies.errors import SignalError

CLASSES = ["left", "right", "bottom"]


class Streets:
    """A pool that is no data set of ours."""

    def __init__(self, count=5):
        self._toy = Toy(count)
        self.ids = self._toy.ids

    def size(self, index):
        return 32, 48

    def image(self, index):
        return self._toy.image(index)

    def label(self, index):
        return self._toy.label(index)


def to_tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1) / 255


class Batches:
    """What a step trains on follows from its number and the rank, so that it is the same again."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return self.data.trainer.max_steps

    def __iter__(self):
        data, trainer = self.data, self.data.trainer
        for step in range(trainer.global_step, len(self)):
            first = 2 * (step * trainer.world_size + trainer.global_rank)
            indices = [(first + place) % len(data.pool.ids) for place in range(2)]
            labels = [data.labels.label(data.pool.ids[i], data.label_round) for i in indices]
            yield {
                "pixels": torch.stack([to_tensor(data.pool.image(i)) for i in indices]),
                "classes": torch.from_numpy(np.stack(labels)).long(),
                "round": data.label_round,
            }


class StreetData(L.LightningDataModule):
    def __init__(self, root="/data", count=5):
        super().__init__()
        self.save_hyperparameters()
        self.pool = Streets(count)

    def pool_loader(self):
        return pool_loader(self.pool, to_tensor)

    def use_labels(self, labels, label_round):
        self.labels, self.label_round = labels, label_round

    def train_dataloader(self):
        return Batches(self)


class Stranger(L.LightningModule):
    classes = CLASSES

    def __init__(self, rate=1e-2):
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(0)
        self.network = lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=len(self.classes)
        )
        self.register_buffer("allowed", torch.ones(3, dtype=torch.bool))

    def signals(self, images, wanted):
        return Signals(self.network(images)["out"])

    def training_step(self, batch, batch_idx):
        logits = self.network(batch["pixels"])["out"]
        return functional.cross_entropy(logits, batch["classes"], ignore_index=255)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.rate)


class StopAt(L.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def train(folder, *callbacks, module=None, data=None, steps=4, loop=None, **settings):
    """Train as a script of somebody else does, and return module and loop."""
    module = Stranger() if module is None else module
    last = folder / "last.ckpt"
    if loop is None:
        loop = ActiveLoop("margin", 0.05, rounds=2, checkpoint=last, progress=False)
    trainer = quiet_trainer(folder, steps, callbacks=[*callbacks, loop], **settings)
    trainer.fit(module, data or StreetData(), ckpt_path=last if last.exists() else None)
    return module, loop


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, *train(folder)


def test_a_strangers_network_asks_trains_on_the_answers_and_leaves_a_store_that_is_sound(
    whole, capsys
):
    folder, _, loop = whole
    assert main(["labels", "verify", str(folder)]) == 0
    assert "2 rounds" in capsys.readouterr().out
    pool, store = Streets(), LabelStore.open(folder / "labels")
    assert abs(store.asked_pixels - 0.05 * 5 * 32 * 48) <= 4.5
    for index, name in enumerate(pool.ids):
        expected = np.where(store.round_map(name) > 0, pool.label(index), 255)
        assert np.array_equal(store.label(name), expected)
    assert [loop.store.settings(number)["step"] for number in (1, 2)] == [0, 2]


@pytest.mark.parametrize("stopped_at", [2, 3])
def test_a_strangers_run_that_is_resumed_ends_with_the_same_bytes(whole, tmp_path, stopped_at):
    folder, module, _ = whole
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, StopAt(stopped_at))
    resumed, _ = train(tmp_path)
    assert digests(tmp_path / "labels") == digests(folder / "labels")
    for name, tensor in module.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor)


def test_two_processes_of_a_stranger_pick_what_one_does(whole, tmp_path, capsys):
    settings = {"devices": 2, "strategy": "ddp"}
    run_ranks(train_on_ranks, tmp_path / "run", settings, ranks=2, folder=tmp_path)
    folder, *_ = whole
    first = "labels/round-001"
    assert digests(tmp_path / "run" / first) == digests(folder / first)
    assert main(["labels", "verify", str(tmp_path / "run")]) == 0
    assert "2 rounds" in capsys.readouterr().out


def train_on_ranks(folder, settings):
    train(folder, **settings)


def test_a_stranger_may_give_the_loop_a_plain_object_and_the_trainer_a_loader(tmp_path):
    class Plain:
        pool = Streets(2)
        labels = None

        def pool_loader(self):
            return [{"index": torch.arange(2), "image": torch.rand(2, 3, 32, 48)}]

        def use_labels(self, labels, label_round):
            self.labels = labels

        def __len__(self):
            return 2

        def __getitem__(self, index):
            label = self.labels.label(self.pool.ids[index])
            image = to_tensor(self.pool.image(index))
            return {"pixels": image, "classes": torch.from_numpy(label).long()}

    data = Plain()
    loop = ActiveLoop("random", "2 regions", rounds=2, data=data, progress=False)
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    quiet_trainer(tmp_path, 2, callbacks=[loop]).fit(Stranger(), loader)
    assert data.labels is loop.store
    assert loop.store.regions == 4


def test_a_strangers_network_trains_on_our_data_module_once_it_says_what_on(tmp_path):
    class Ours(Stranger):
        def setup(self, stage):
            self.trainer.datamodule.train_under(PROTOCOLS["target_only"])

        def training_step(self, batch, batch_idx):
            part = batch["target"]
            return super().training_step({"pixels": part["image"], "classes": part["label"]}, 0)

    data = SegmentationDataModule(target=Toy(3), batch_size=2)
    _, loop = train(tmp_path, module=Ours(), data=data)
    assert loop.store.rounds == 2
    with pytest.raises(ConfigError, match=r"Call train_under\(PROTOCOLS.* setup of your Stranger"):
        train(tmp_path / "other", data=SegmentationDataModule(target=Toy(3)))


def test_people_are_asked_about_a_strangers_pool(tmp_path):
    loop = ActiveLoop("entropy", "2 regions", rounds=1, annotator=People(tmp_path), progress=False)
    with pytest.raises(AnswersNeeded):
        train(tmp_path, loop=loop)
    asked = open_round(tmp_path, 1)
    assert asked.classes == tuple(CLASSES)
    assert len(set(asked.colors)) == 3
    assert len(asked.queries) == 10


def test_a_part_that_a_stranger_keeps_from_training_stays_so_over_a_round(tmp_path):
    modes = []

    class Frozen(Stranger):
        def on_train_start(self):
            self.network.backbone.eval()

        def on_train_batch_start(self, batch, batch_idx):
            modes.append((self.network.backbone["0"][1].training, self.network.classifier.training))

    train(tmp_path, module=Frozen())
    assert modes == [(False, True)] * 4


# What a stranger may have left out.


class WithoutSignals(Stranger):
    signals = None


class OtherSignature(Stranger):
    def signals(self, images):
        return Signals(self.network(images)["out"])


class NoClasses(Stranger):
    classes = 3

    def __init__(self):
        L.LightningModule.__init__(self)


class OneText(NoClasses):
    classes = "road"


class WithoutLoader(StreetData):
    pool_loader = None


class WithoutLabels(StreetData):
    use_labels = None


class Nameless(StreetData):
    def __init__(self):
        super().__init__()
        self.pool = Toy


class Numbered(StreetData):
    def __init__(self):
        super().__init__()
        self.pool.ids = range(5)


class OfThreeSizes(StreetData):
    def __init__(self):
        super().__init__()
        self.pool.size = lambda index: (32, 48, 3)


class Unlabelled(StreetData):
    def __init__(self):
        super().__init__()
        self.pool.label = None


@pytest.mark.parametrize(
    ("module", "data", "message"),
    [
        (
            WithoutSignals,
            StreetData,
            r"of the module a method signals\(self, images: Tensor, wanted: Collection\[str\]\) "
            r"-> Signals \(WithoutSignals has none\)\. docs/strategies\.md",
        ),
        (OtherSignature, StreetData, r"\(OtherSignature has signals\(images\)\)"),
        (NoClasses, StreetData, "NoClasses.classes is 3; expected the names of two classes"),
        (OneText, StreetData, "OneText.classes is 'road'; expected the names of two classes"),
        (Stranger, WithoutLoader, r"of the data a method pool_loader\(self\) -> .*WithoutLoader"),
        (Stranger, WithoutLabels, r"of the data a method use_labels\(self, labels: .*has none"),
        (WithoutSignals, WithoutLabels, "method signals.*method use_labels"),
        (Stranger, Nameless, "of the pool an attribute ids"),
        (Stranger, Numbered, "an image 0, of type int; give every image a name"),
        (Stranger, OfThreeSizes, r"of train-000 that its size is \(32, 48, 3\); expected height"),
        (Stranger, Unlabelled, r"'oracle' needs of the pool a method label\(self, index: int\)"),
    ],
)
def test_what_a_stranger_lacks_is_named_before_anything_is_computed(
    module, data, message, tmp_path
):
    with pytest.raises(ConfigError, match=message):
        train(tmp_path, module=module(), data=data())
    assert not (tmp_path / "labels").exists()


def test_a_loop_without_data_says_where_it_looks(tmp_path):
    loop = ActiveLoop("random", 0.05, progress=False)
    trainer = quiet_trainer(tmp_path, 2, callbacks=[loop])
    with pytest.raises(ConfigError, match=r"a data module, or ActiveLoop\(data=\.\.\.\)"):
        trainer.fit(Stranger(), [1, 2])


def test_names_of_classes_follow_the_rules_of_every_label_space(tmp_path):
    module = Stranger()
    module.classes = ["road", "road", "sky"]
    with pytest.raises(DatasetError, match="'Stranger' names 'road' more than once"):
        train(tmp_path, module=module)


def test_a_signal_that_a_stranger_offers_is_returned_where_it_is_wanted(tmp_path):
    class Boastful(Stranger):
        offers = ("predicted_loss",)

    class Sure(Strategy):
        name, requires = "sure", frozenset({"logits", "predicted_loss"})

        def score(self, signals, generator=None):
            return signals.predicted_loss

    loop = ActiveLoop(Sure(), 0.05, rounds=1, progress=False)
    words = "'train-000' Boastful.signals returned no predicted_loss, which is wanted and which its"
    with pytest.raises(SignalError, match=words):
        train(tmp_path, module=Boastful(), loop=loop)

    class Offering(Boastful):
        def signals(self, images, wanted):
            logits = super().signals(images, wanted).logits
            left = torch.zeros(len(images), *logits.shape[-2:])
            left[..., : logits.shape[-1] // 2] = 1
            return Signals(logits, predicted_loss=left if "predicted_loss" in wanted else None)

    _, loop = train(tmp_path, module=Offering(), loop=loop)
    assert all((loop.store.queries(name, 1).columns < 24).all() for name in Streets().ids)


def returning(made):
    class Returning(Stranger):
        def signals(self, images, wanted):
            return made(images)

    return Returning()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda images: images[:, :3], "returned a Tensor; expected alseg_strategies.Signals"),
        (lambda images: Signals(images[:, :2]), r"\(1, 2, 32, 48\); expected \(1, 3, height, wid"),
        (
            lambda images: Signals(images.repeat(2, 1, 1, 1)),
            r"shape \(2, 3, 32, 48\); .* one image",
        ),
        (lambda images: Signals(images[0]), r"logits have the shape \(3, 32, 48\)"),
        (lambda images: Signals(images.long()), "logits is of type torch.int64"),
    ],
)
def test_what_a_network_returns_is_checked_and_the_image_named(made, message, tmp_path):
    with pytest.raises(SignalError, match="image 'train-000'") as refused:
        train(tmp_path, module=returning(made))
    assert refused.match(message)
    assert refused.match("Returning.signals")
    assert list(digests(tmp_path / "labels")) == ["pool.json"]


@pytest.mark.parametrize(
    "batch",
    [
        torch.rand(1, 3, 4, 6),
        {"image": torch.rand(1, 3, 4, 6)},
        {"index": [9], "image": [torch.rand(3, 4, 6)]},
        {"index": [0], "image": [torch.rand(4, 6)]},
        {"index": [0, 1], "image": [torch.rand(3, 4, 6)]},
    ],
)
def test_a_loader_that_yields_something_else_is_refused(batch, tmp_path):
    class Other(StreetData):
        def pool_loader(self):
            return [batch]

    with pytest.raises(ConfigError, match='expected {"index": B numbers from 0 to 4, "image"'):
        train(tmp_path, data=Other())


def test_maps_are_put_on_the_grid_of_the_image_and_features_are_not():
    class Small(nn.Module):
        classes, device = ("road", "sky"), torch.device("cpu")

        def signals(self, images, wanted):
            row = torch.tensor([0.0, 4.0]).half()
            return Signals(
                row.expand(1, 2, 1, 2),
                radius=row.expand(1, 1, 2),
                predicted_loss=row.expand(1, 1, 2),
                teacher_logits=row.expand(1, 2, 1, 2),
                views=row.expand(1, 5, 2, 1, 2),
                embeddings=row.expand(1, 7, 1, 2),
                image_features=row.expand(1, 3, 2),
            )

    shown = SignalSource(Small()).look(torch.rand(3, 2, 4), "street/7", {"logits"}, (2, 4))
    # Bilinear, pixels as areas: of four columns the outer ones lie beyond the centres of the two.
    expected = torch.tensor([0.0, 1.0, 3.0, 4.0])
    for maps, shape in (
        (shown.logits, (1, 2, 2, 4)),
        (shown.radius, (1, 2, 4)),
        (shown.predicted_loss, (1, 2, 4)),
        (shown.teacher_logits, (1, 2, 2, 4)),
        (shown.views, (1, 5, 2, 2, 4)),
    ):
        assert torch.equal(maps, expected.expand(shape))
    assert shown.embeddings.shape == (1, 7, 1, 2)
    assert shown.image_features.shape == (1, 3, 2)
    assert {shown.embeddings.dtype, shown.image_features.dtype} == {torch.float32}
    assert shown.names == ["street/7"]


class Fitted(Strategy):
    name = "fitted"

    def fit(self, source, pool, generator=None, round=None):
        self.seen = [signals.names[0] for signals in pool], list(source)

    def score(self, signals, generator=None):
        return signals.logits.amax(1)


def test_a_strategy_looks_at_a_strangers_pool_and_a_loader_that_leaves_images_out_is_refused(
    tmp_path,
):
    strategy = Fitted()
    train(tmp_path / "run", loop=ActiveLoop(strategy, 0.05, rounds=1, progress=False), steps=1)
    assert strategy.seen == (Streets().ids, [])

    class Fewer(StreetData):
        def pool_loader(self):
            return list(super().pool_loader())[:3]

    with pytest.raises(
        ConfigError,
        match="look at 5 images, and the loaders .* not yield the images train-003, train-004",
    ):
        train(tmp_path, data=Fewer(), loop=ActiveLoop(Fitted(), 0.05, rounds=1, progress=False))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": lambda: Stranger(rate=1e-3)}, "run.network.rate was 0.01, is 0.001"),
        ({"module": lambda: returning(Signals)}, r"run.network.class was Stranger, is .*Returning"),
        ({"data": lambda: StreetData("/moved")}, None),
    ],
)
def test_a_strangers_run_is_known_by_its_class_and_hyperparameters_not_by_where_images_are(
    whole, tmp_path, changes, message
):
    folder, *_ = whole
    made = {name: make() for name, make in changes.items()}
    loop = ActiveLoop("margin", 0.05, rounds=2, store=folder / "labels", progress=False)
    before = digests(folder / "labels")
    if message is None:
        train(tmp_path, loop=loop, **made)
    else:
        with pytest.raises(LabelStoreError, match=message):
            train(tmp_path, loop=loop, **made)
    assert digests(folder / "labels") == before
    assert loop.seconds["asking for labels"] == 0


def test_a_stranger_says_itself_what_makes_two_trainings_the_same_run(tmp_path):
    class Said(Stranger):
        run_identity = MappingProxyType({"rate": 1})

    _, loop = train(tmp_path, module=Said(rate=1e-3), steps=2)
    assert loop.store.settings(1)["run"]["network"] == {"rate": 1}


def test_a_batch_of_a_stranger_that_says_an_earlier_round_is_refused(tmp_path):
    class Stale(StreetData):
        def use_labels(self, labels, label_round):
            super().use_labels(labels, 1)

    with pytest.raises(RuntimeError, match=r"round \[1\], but the current round is 2"):
        train(tmp_path, data=Stale())

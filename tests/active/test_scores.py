import lightning as L
import numpy as np
import pytest
import torch
from tests.active.test_strangers import StopAt, train
from tests.helpers.archives import digests
from tests.helpers.processes import run_ranks
from tests.helpers.toys import SPACE, Toy, quiet_trainer
from torch import nn

from alseg.active import ActiveLoop
from alseg.active.scores import score_map
from alseg.active.signals import IN_CHECKPOINT, PreviousNetwork
from alseg.data.module import SegmentationDataModule
from alseg.data.transforms import eval_transform
from alseg.errors import AlsegError, LabelStoreError, ScoreError
from alseg.models import Network
from alseg.training.module import SegmentationModule
from alseg_strategies import Signals, Strategy
from alseg_strategies.testing import StrategyContract

SIZE = (4, 6)


def with_nan(*places):
    score = torch.zeros(1, *SIZE)
    for place in places:
        score[place] = torch.nan
    return score


@pytest.mark.parametrize(
    ("score", "got"),
    [
        (None, "None"),
        (np.zeros((1, *SIZE), np.float32), "a numpy.ndarray"),
        ([torch.zeros(SIZE)], "a builtins.list"),
        (torch.zeros(1, *SIZE, dtype=torch.int64), r"a tensor torch.int64 of .* \(1, 4, 6\)"),
        (torch.zeros(1, *SIZE, dtype=torch.bool), "a tensor torch.bool"),
        (torch.zeros(1, *SIZE, dtype=torch.complex64), "a tensor torch.complex64"),
        (torch.zeros(SIZE), r"a tensor torch.float32 of the shape \(4, 6\)"),
        (torch.zeros(1, 6, 4), r"\(1, 6, 4\)"),
        (torch.zeros(2, *SIZE), r"\(2, 4, 6\)"),
        (torch.zeros(0, *SIZE), r"\(0, 4, 6\)"),
        (torch.tensor(0.5), r"the shape \(\)"),
        (with_nan((0, 3, 5)), "1 NaN among 24 values"),
        (with_nan((0, 0, 0), (0, 2, 2)).double(), "2 NaN among 24 values"),
    ],
)
def test_what_cannot_be_ranked_is_refused_with_strategy_and_image(score, got):
    allowed = r"floating-point tensor B,H,W with no NaN, of this image \(1, 4, 6\)"
    with pytest.raises(ScoreError, match=f"strategy wise returned .*{got}.*street/7.*{allowed}"):
        score_map(score, Broken(), "wise", "street/7", SIZE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_score_of_any_floating_type_is_taken_as_it_is_infinities_among_it(dtype):
    score = torch.arange(24, dtype=dtype).reshape(1, *SIZE)
    score[0, 0, 0], score[0, 1, 1] = -torch.inf, torch.inf
    taken = score_map(score, Broken(), "wise", "street/7", SIZE)
    assert taken.dtype == dtype
    assert torch.equal(taken, score[0])


class Brightness(Strategy):
    """Ranks images by the most that any of their logits comes to."""

    name = "brightness"
    level = "image"

    def score(self, signals, generator=None):
        return signals.logits.amax((1, 2, 3))


def test_the_score_of_an_image_as_a_whole_is_that_of_each_of_its_pixels():
    taken = score_map(torch.tensor([0.1]), Brightness(), "brightness", "street/7", SIZE)
    assert torch.equal(taken, torch.full(SIZE, 0.1))
    with pytest.raises(ScoreError, match=r"level is 'image': .* tensor B with no NaN.*\(1,\)"):
        score_map(torch.zeros(1, *SIZE), Brightness(), "brightness", "street/7", SIZE)
    with pytest.raises(ScoreError, match="1 NaN among 1 values"):
        score_map(torch.tensor([torch.nan]), Brightness(), "brightness", "street/7", SIZE)


class Broken(Strategy):
    """Fails on the second image that it is shown."""

    name = "broken"
    shown = 0

    def score(self, signals, generator=None):
        self.shown += 1
        score = signals.logits.softmax(1).amax(1)
        return score if self.shown == 1 else score.log().sub(1).sqrt()


def test_a_round_with_a_broken_strategy_ends_with_its_name_and_leaves_no_round(tmp_path):
    loop = ActiveLoop(Broken(), 0.05, rounds=1, store=tmp_path / "labels", progress=False)
    network = SegmentationModule(
        SPACE, network=Network(encoder_weights="none"), protocol="target_only"
    )
    images = SegmentationDataModule(target=Toy(3), batch_size=2)
    words = "strategy broken returned 1,536 NaN among 1,536 values as the score of train-001"
    with pytest.raises(AlsegError, match=words):
        quiet_trainer(tmp_path, 1, callbacks=[loop]).fit(network, images)
    assert list(digests(tmp_path / "labels")) == ["pool.json"]


class Discrepancy(Strategy):
    """Half the squared distance of what two networks in a row make of a pixel.

    The cyclic output discrepancy of Huang et al., ICCV 2021.
    """

    name = "discrepancy"
    requires = frozenset({"logits", "previous_logits"})

    def score(self, signals, generator=None):
        self.check(signals)
        now, before = signals.logits.detach().float(), signals.previous_logits.detach().float()
        return (now.softmax(1) - before.softmax(1)).square().sum(1) / 2


class TestDiscrepancy(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Discrepancy()


def network():
    torch.manual_seed(0)
    parts = Network(encoder_weights="none", head="hyperbolic")
    return SegmentationModule(SPACE, network=parts, protocol="target_only", seed=0)


def images():
    return SegmentationDataModule(target=Toy(3), batch_size=2)


def compared(folder, *callbacks, module=None, rounds=3, steps=6, **more):
    """Train with rounds at the steps 0, 2 and 4, and return module and loop."""
    last = folder / "last.ckpt"
    loop = ActiveLoop(Discrepancy(), 0.05, rounds=rounds, checkpoint=last, progress=False, **more)
    module = network() if module is None else module
    return train(folder, *callbacks, module=module, data=images(), loop=loop, steps=steps)


def test_a_round_compares_with_the_network_of_the_round_before_and_of_the_start_in_round_1(
    tmp_path,
):
    module, states, maps = network(), {}, {}

    def note(number, result, scores):
        states[number] = {name: part.clone() for name, part in module.state_dict().items()}
        maps[number] = scores

    compared(tmp_path, module=module, on_round=note, keep_scores=3)
    assert [len(kept) for kept in maps.values()] == [3, 3, 3]
    assert not any(score.any() for score in maps[1].values())

    def shares(number, index):
        other = network().eval()
        other.load_state_dict(states[number])
        with torch.no_grad():
            logits = other.segmenter(eval_transform(Toy(3).image(index), None)[None]).logits
        exponentials = np.exp(
            nn.functional.interpolate(logits, size=(32, 48), mode="bilinear")[0].double().numpy()
        )
        return exponentials / exponentials.sum(0)

    for number in (2, 3):
        for index, score in maps[number].items():
            expected = sum((shares(number, index) - shares(number - 1, index)) ** 2) / 2
            assert expected.max() > 0
            np.testing.assert_allclose(score.numpy(), expected, rtol=1e-3, atol=1e-7)


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("never-stopped")
    return folder, compared(folder)[0]


class SaveAndStop(StopAt):
    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(trainer.default_root_dir + "/last.ckpt")
        super().on_train_batch_end(trainer, *rest)


# The rounds are before the steps 0, 2 and 4, each with a checkpoint before it.
@pytest.mark.parametrize("stop", [StopAt(3), SaveAndStop(3), SaveAndStop(4), StopAt(5)])
def test_a_run_that_is_resumed_compares_with_the_same_network(never_stopped, tmp_path, stop):
    folder, module = never_stopped
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        compared(tmp_path, stop)
    resumed, _ = compared(tmp_path)
    assert digests(tmp_path / "labels") == digests(folder / "labels")
    for name, tensor in module.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor)


def test_a_run_that_begins_again_on_its_store_compares_with_the_same_network(
    never_stopped, tmp_path
):
    folder, _ = never_stopped
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        compared(tmp_path, StopAt(3))
    (tmp_path / "last.ckpt").unlink()
    compared(tmp_path)
    assert digests(tmp_path / "labels") == digests(folder / "labels")


def test_a_checkpoint_without_the_network_of_the_round_before_is_refused(tmp_path):
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        compared(tmp_path, SaveAndStop(3))
    path = tmp_path / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    kept = checkpoint.pop(IN_CHECKPOINT)
    assert kept["round"] == 2
    assert kept["weights"].keys() == checkpoint["state_dict"].keys()
    torch.save(checkpoint, path)
    with pytest.raises(LabelStoreError, match="network of round 2, and the checkpoint .* none"):
        compared(tmp_path)


def test_what_the_logits_do_not_depend_on_is_not_kept_of_the_network_of_the_round_before():
    class Remembering(Drifting):
        not_for_logits = ("memory",)

        def __init__(self):
            super().__init__()
            self.memory = nn.BatchNorm2d(5)
            self.memory_of_colours = nn.Linear(3, 3)

    kept, checkpoint = PreviousNetwork(wanted=True), {}
    module = Remembering()
    kept.keep(module, 1)
    kept.write_into(checkpoint)
    names = checkpoint[IN_CHECKPOINT]["weights"].keys()
    assert {name.split(".")[0] for name in names} == {"layer", "tied", "drift", "memory_of_colours"}
    images = torch.rand(1, 3, 8, 8)
    before = module.signals(images, ()).logits.detach()
    module.drift += 1
    shown = kept.signals_of(module, 2)(images, ())
    torch.testing.assert_close(shown.logits.detach(), before)


class Drifting(L.LightningModule):
    """Its weights follow from the step alone, on the first rank the buffer too.

    A layer goes by two names, and a weight belongs to two layers.
    """

    classes = ("left", "right", "bottom")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.again = self.layer
        self.tied = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.tied.weight = self.layer.weight
        self.register_buffer("drift", torch.ones(1))
        self.asked = 0

    def signals(self, images, wanted):
        self.asked += 1
        return Signals(self.tied(self.again(images)) * self.drift)

    def training_step(self, batch, batch_idx):
        self.drift += 0.25 * (1 + self.global_rank)
        return sum((parameter + 1).square().sum() for parameter in self.parameters())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def drift(folder, settings, strategy=Discrepancy):
    loop = ActiveLoop(strategy(), 0.05, rounds=3, progress=False)
    return train(folder, module=Drifting(), loop=loop, steps=6, **settings)[0]


def test_two_processes_compare_with_the_network_that_one_does(tmp_path):
    module = drift(tmp_path / "one", {})
    assert module.again is module.layer
    assert module.tied.weight is module.layer.weight
    assert isinstance(module.layer.weight, nn.Parameter)
    # Of five images, in round 1 once and in the other rounds by two networks.
    assert module.asked == 5 * (1 + 2 + 2)
    run_ranks(drift, tmp_path / "two", {"devices": 2, "strategy": "ddp"}, ranks=2, folder=tmp_path)
    assert digests(tmp_path / "two" / "labels") == digests(tmp_path / "one" / "labels")


def test_what_no_strategy_asks_for_is_neither_kept_nor_computed(tmp_path):
    class Plain(Discrepancy):
        requires = frozenset({"logits"})

        def score(self, signals, generator=None):
            assert signals.previous_logits is None
            return signals.logits.amax(1)

    module = drift(tmp_path, {}, Plain)
    assert module.asked == 5 * 3
    module.trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert IN_CHECKPOINT not in torch.load(tmp_path / "last.ckpt", weights_only=True)

import numpy as np
import pytest
import torch
from tests.helpers.archives import digests
from tests.helpers.toys import SPACE, Toy, quiet_trainer

from alseg.active import ActiveLoop
from alseg.active.scores import score_map
from alseg.data.module import SegmentationDataModule
from alseg.errors import AlsegError, ScoreError
from alseg.models import Network
from alseg.training.module import SegmentationModule
from alseg_strategies import Strategy

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

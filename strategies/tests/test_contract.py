import pytest
import torch

from alseg_strategies import Signals, Strategy, available, create
from alseg_strategies.testing import StrategyContract

VARIANTS = [
    ("ripu", {"radius": 4}),
    ("ripu", {"mode": "pixel", "radius": 32}),
    ("ripu", {"impurity": False}),
    ("ripu", {"uncertainty": False}),
    ("ripu", {"impurity": False, "uncertainty": False}),
    ("halo", {"term": "impurity"}),
    ("halo", {"term": "radius", "radius": 5}),
    ("halo", {"uncertainty": False}),
    ("halo", {"normalize": False}),
]


class TestEveryStrategy(StrategyContract):
    @pytest.fixture(params=list(available()))
    def strategy(self, request):
        return create(request.param)


class TestEveryVariant(StrategyContract):
    @pytest.fixture(params=VARIANTS, ids=str)
    def strategy(self, request):
        name, options = request.param
        return create(name, **options)


class Frequency(Strategy):
    """Ranks images by how far their mean logits are from those of the pool."""

    level = "pool"

    def fit(self, source, pool, generator=None, round=None):
        means = [signals.logits.double().mean((2, 3))[0] for signals in pool]
        self.mean = torch.stack(means).mean(0)[0]

    def score(self, signals, generator=None):
        self.check(signals)
        logits = signals.logits.detach().double()
        return (logits - self.mean).softmax(1).amax(1).mean((1, 2)).float()


class TestAStrategyThatRanksImages(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Frequency()


class BatchMean(Strategy):
    """Breaks the contract: its scores depend on the rest of the batch."""

    def score(self, signals, generator=None):
        self.check(signals)
        top = signals.logits.float().amax(1)
        return top - top.mean()


class Careless(Strategy):
    """Breaks the contract: it computes in the type it is given and checks nothing."""

    def score(self, signals, generator=None):
        return signals.logits.softmax(1).log().sum(1)


class OneNumber(Strategy):
    """Breaks the contract: it ranks images and does not say so."""

    def score(self, signals, generator=None):
        self.check(signals)
        return signals.logits.float().amax((1, 2, 3))


class Restless(Strategy):
    """Breaks the contract: what it fits does not follow from its generator."""

    def fit(self, source, pool, generator=None, round=None):
        self.offset = float(torch.rand(()))

    def score(self, signals, generator=None):
        self.check(signals)
        return signals.logits.float().amax(1) + self.offset


class Held(Strategy):
    """Breaks the contract: it keeps what cannot be sent to another process."""

    def fit(self, source, pool, generator=None, round=None):
        self.first = (signals for signals in pool)

    def score(self, signals, generator=None):
        self.check(signals)
        return signals.logits.float().amax(1)


class Forgetful(Strategy):
    """Breaks the contract: it changes its input."""

    def score(self, signals, generator=None):
        return signals.logits.mul_(2).amax(1)


class Spread(Strategy):
    """Looks up by its name what it fitted of an image, less what was asked of it."""

    level = "pool"

    def fit(self, source, pool, generator=None, round=None):
        found = {signals.names[0]: float(signals.logits.std()) for signals in pool}
        self.worth = {name: worth * (1 - round.asked[name]) for name, worth in found.items()}

    def score(self, signals, generator=None):
        self.check(signals)
        return torch.tensor([self.worth[name] for name in signals.names])


class TestAStrategyThatLooksImagesUpByTheirNames(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Spread()


@pytest.mark.parametrize(
    ("strategy", "test", "arguments"),
    [
        (BatchMean(), "test_a_batch_scores_like_its_images", ()),
        (Careless(), "test_extreme_logits", (torch.float16, 6e4)),
        (
            Careless(),
            "test_logits_that_are_not_finite_name_image_and_count",
            (float("nan"),),
        ),
        (OneNumber(), "test_scores_every_pixel_or_every_image_as_its_level_says", ()),
        (Restless(), "test_fits_the_same_way_from_the_same_images_and_generator", ()),
        (Held(), "test_what_it_has_fitted_can_be_sent_to_another_process", ()),
        (Forgetful(), "test_same_input_same_score_and_inputs_unchanged", ()),
    ],
)
def test_the_contract_catches_those_who_break_it(strategy, test, arguments):
    with pytest.raises((AssertionError, TypeError, pytest.fail.Exception)):
        getattr(StrategyContract(), test)(strategy, *arguments)


def test_random_needs_a_generator_to_be_repeated():
    signals = Signals(torch.zeros(2, 3, 16, 16))
    strategy = create("random")
    scores = [
        strategy.score(signals, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    ]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])
    assert not torch.equal(scores[0][0], scores[0][1])
    assert 0.45 < strategy.score(signals).mean() < 0.55

"""A strategy that looks at the whole source and pool, as a plug-in would have it."""

import math
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tests.helpers.rounds import by_threads
from tests.helpers.toys import SPACE, Toy, quiet_trainer

from alseg.active import ActiveLoop, RoundRequest
from alseg.active.fitting import SignalStream, fit_strategy
from alseg.active.requirements import pool_images
from alseg.active.signals import SignalSource
from alseg.config.budget import Budget
from alseg.data.evaluation import PoolSamples, pool_loader
from alseg.data.module import SegmentationDataModule
from alseg.data.transforms import eval_transform
from alseg.errors import ConfigError, ScoreError
from alseg.labels import LabelStore, Windows
from alseg.labels.regions.image import WholeImage
from alseg.models import Network
from alseg.training.module import SegmentationModule
from alseg_strategies import Strategy
from alseg_strategies.testing import StrategyContract


class Density(Strategy):
    """Asks first for pixels whose features are frequent in the target and rare in the source.

    A diagonal Gaussian each, as the least of what D2ADA fits (Wu et al., ECCV 2022).
    """

    name = "density"
    requires = frozenset({"logits", "embeddings"})

    def __init__(self):
        self.source = self.pool = None

    def fit(self, source, pool, generator=None, round=None):
        self.source, self.pool = self._gaussian(source), self._gaussian(pool)

    def _gaussian(self, images):
        count, total, squares = 0, 0.0, 0.0
        for signals in images:
            vectors = signals.embeddings.double().movedim(1, -1).flatten(0, -2)
            count += len(vectors)
            total, squares = total + vectors.sum(0), squares + vectors.square().sum(0)
        if not count:
            return None
        mean = total / count
        return mean, (squares / count - mean.square()).clamp(min=1e-6)

    def _log_density(self, gaussian, vectors):
        if gaussian is None:
            return torch.zeros(vectors.shape[0], *vectors.shape[2:], dtype=vectors.dtype)
        mean, variance = (part.to(vectors)[:, None, None] for part in gaussian)
        return -((vectors - mean).square() / variance + variance.log()).mean(1) / 2

    def score(self, signals, generator=None):
        self.check(signals)
        vectors = signals.embeddings.detach().double()
        score = self._log_density(self.pool, vectors) - self._log_density(self.source, vectors)
        size = signals.logits.shape[-2:]
        resized = torch.nn.functional.interpolate(score[:, None], size=size, mode="bilinear")
        return resized[:, 0].float()


class TestDensity(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Density()


def network(**more):
    torch.manual_seed(0)
    return SegmentationModule(SPACE, network=Network(encoder_weights="none"), **more).eval()


REQUEST = RoundRequest(1, 1, Budget.parse("5%"), Windows(), strategy="density")


def stream(module, images, wanted=Density.requires):
    def load():
        return pool_loader(images, lambda image: eval_transform(image, None))

    return SignalStream(SignalSource(module), load, images, wanted)


def test_a_fit_sees_every_image_once_in_order_with_the_signals_that_are_wanted():
    module, pool = network(), Toy(3)
    seen = list(stream(module, pool))
    assert [signals.names for signals in seen] == [[name] for name in pool.ids]
    for index, signals in enumerate(seen):
        image = torch.from_numpy(pool.image(index)).permute(2, 0, 1)[None].float() / 255
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        with torch.no_grad():
            features = module.segmenter.network((image - mean) / deviation)
        torch.testing.assert_close(signals.embeddings, features, rtol=1e-4, atol=1e-5)
        assert signals.logits.shape[-2:] == features.shape[-2:]
        assert signals.radius is None


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_fit_is_the_same_on_every_rank_and_on_one(ranks, tmp_path):
    module, source, pool = network(), Toy(2, seed=1), Toy(5)
    store = LabelStore.create(tmp_path / "labels", pool_images(pool), SPACE.classes)

    def fitted(rank=0):
        strategy = Density()
        fit_strategy(strategy, REQUEST, store, stream(module, source), stream(module, pool))
        return strategy

    alone = fitted()
    for strategy in by_threads(ranks, fitted):
        for part in ("source", "pool"):
            for one, other in zip(getattr(strategy, part), getattr(alone, part), strict=True):
                assert torch.equal(one, other)
    vectors = torch.cat([s.embeddings.flatten(2)[0].T for s in stream(module, pool)]).double()
    torch.testing.assert_close(alone.pool[0], vectors.mean(0))
    torch.testing.assert_close(alone.pool[1], vectors.var(0, correction=0), rtol=1e-4, atol=1e-6)


def loading(order):
    """Return a stream of a pool of four images whose loader yields these indices."""
    pool = Toy(4)
    samples = PoolSamples(pool, lambda image: eval_transform(image, None))

    def load():
        for index in order:
            yield {"index": [index], "image": [samples[index]["image"]]}

    return SignalStream(SignalSource(network()), load, pool, Density.requires)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (3, 2, 1, 0)])
def test_a_fit_sees_the_order_of_the_data_set_whatever_that_of_the_loader(order):
    seen = list(loading(order))
    assert [signals.names for signals in seen] == [[name] for name in Toy(4).ids]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((0, 0, 1, 1), r"yielded the image train-000 twice\. Each image comes once"),
        ((0, 3, 1, 3), r"yielded the image train-003 twice"),
        ((0, 1, 2, 3, 2), r"yielded the image train-002 twice"),
        ((0, 2), r"look at 4 images, .* did not yield the images train-001, train-003\."),
        ((), r"did not yield the images train-000, train-001, train-002 and 1 more"),
    ],
)
def test_images_that_come_twice_or_not_at_all_are_named(order, message):
    with pytest.raises(ConfigError, match=message):
        list(loading(order))


def test_processes_that_each_load_all_images_are_refused():
    with pytest.raises(ConfigError, match="yielded the image train-000 twice"):
        by_threads(2, lambda rank: list(loading(range(4))))


def test_a_run_asks_by_what_was_fitted_before_each_round(tmp_path):
    fits = []

    class Counted(Density):
        def fit(self, source, pool, generator=None, round=None):
            fits.append((len(list(source)), len(list(pool)), generator.initial_seed()))
            super().fit(source, pool, generator, round)

    loop = ActiveLoop(Counted(), 0.05, rounds=2, store=tmp_path / "labels", progress=False)
    data = SegmentationDataModule(source=Toy(2, seed=1), target=Toy(3), batch_size=2)
    quiet_trainer(tmp_path, 2, callbacks=[loop]).fit(network(), data)
    assert [(source, pool) for source, pool, _ in fits] == [(2, 3), (2, 3)]
    assert fits[0][2] != fits[1][2]
    assert loop.store.rounds == 2
    assert loop.store.settings(2)["strategy_options"] == {}
    share = loop.store.asked_pixels / sum(np.prod(Toy(3).size(index)) for index in range(3))
    assert math.isclose(share, 0.05, abs_tol=9 / 4608)


def test_a_strategy_that_a_round_cannot_call_is_refused_before_anything_is_computed():
    class Short(Density):
        def fit(self, source, pool):
            pass

    class Shorter(Density):
        def score(self, signals):
            pass

    for strategy, form in ((Short, "fit.self, source, pool, gen"), (Shorter, "score.self, sig")):
        with pytest.raises(ConfigError, match=rf"density has a method .*Write it as {form}"):
            ActiveLoop(strategy(), 0.05)


def test_a_frozen_strategy_that_learns_and_one_that_reads_what_it_does_not_require(tmp_path):
    @dataclass(frozen=True)
    class Frozen(Strategy):
        name = "frozen"

        def fit(self, source, pool, generator=None, round=None):
            self.count = len(list(pool))

        def score(self, signals, generator=None):
            return signals.logits.amax(1)

    class Careless(Density):
        def fit(self, source, pool, generator=None, round=None):
            pass

        def score(self, signals, generator=None):
            return signals.radius.abs()

    for strategy, error, message in (
        (Frozen(), ConfigError, "strategy frozen is a frozen dataclass.*Leave frozen=True out"),
        (Careless(), ScoreError, "density failed when it scored train-000: AttributeError.*logits"),
    ):
        loop = ActiveLoop(strategy, 0.05, rounds=1, store=tmp_path / "labels", progress=False)
        data = SegmentationDataModule(source=Toy(2, seed=1), target=Toy(3), batch_size=2)
        with pytest.raises(error, match=message) as caught:
            quiet_trainer(tmp_path, 2, callbacks=[loop]).fit(network(), data)
        assert isinstance(caught.value.__cause__, AttributeError)


class Watching(Density):
    """Writes down what it may know of each round, and what it draws."""

    def __init__(self):
        super().__init__()
        self.views, self.drawn = {}, {}

    def fit(self, source, pool, generator=None, round=None):
        super().fit(source, pool, generator, round)
        self.views[round.number] = round
        self.drawn[round.number] = [generator.initial_seed()]

    def score(self, signals, generator=None):
        self.drawn[max(self.drawn)].append(generator.initial_seed())
        score = super().score(signals, generator)
        return score.mean((1, 2)) if self.level == "image" else score


@pytest.mark.parametrize(
    ("budget", "region", "unit", "due"),
    [
        (0.1, Windows(), "pixels", 0.05 * 3 * 1536),
        ("8 regions", Windows(), "regions", 4 * 3),
        ("2 images", WholeImage(), "regions", 1),
    ],
)
def test_a_fit_knows_what_its_round_may_ask_for_and_what_was_asked_before(
    tmp_path, budget, region, unit, due
):
    def run(folder, store):
        strategy = Watching()
        strategy.level = "image" if isinstance(region, WholeImage) else "pixel"
        loop = ActiveLoop(
            strategy,
            budget,
            rounds=2,
            region=region,
            store=store,
            progress=False,
            checkpoint=tmp_path / "before.ckpt",
        )
        data = SegmentationDataModule(source=Toy(2, seed=1), target=Toy(3), batch_size=2)
        last = tmp_path / "before.ckpt"
        resumed = str(last) if last.exists() else None
        quiet_trainer(folder, 2, callbacks=[loop]).fit(network(), data, ckpt_path=resumed)
        return strategy, loop.store

    first, store = run(tmp_path, tmp_path / "labels")
    view = first.views[1]
    assert (view.number, view.rounds, view.unit) == (1, 2, unit)
    assert view.asked == dict.fromkeys(Toy(3).ids, 0)
    assert abs(view.due - due) <= 0.5
    assert {number: len(set(drawn)) for number, drawn in first.drawn.items()} == {1: 4, 2: 4}
    later = first.views[2]
    assert later.number == 2
    assert list(later.asked) == list(Toy(3).ids)
    for name, share in later.asked.items():
        assert share == pytest.approx((store.round_map(name) == 1).mean())
    spent = sum(store.spent(unit, 1))
    assert abs(later.due - (2 * due - spent)) <= 0.5
    shutil.rmtree(tmp_path / "labels" / "round-002")
    assert run(tmp_path / "again", tmp_path / "labels")[0].views == {2: later}


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        ({"teacher_logits"}, "density looks at the signal 'teacher_logits', which Segmentation"),
        ({"embedings"}, "requires 'embedings', which is no signal. Did you mean 'embeddings'"),
        ({"radius"}, "'radius'.*does not offer: it is the hyperbolic radius.*--head hyperbolic"),
    ],
)
def test_a_signal_that_is_not_offered_is_named_before_anything_is_computed(
    requires, message, tmp_path
):
    class Asking(Density):
        pass

    Asking.requires = frozenset(requires)
    loop = ActiveLoop(Asking(), 0.05, rounds=1, store=tmp_path / "labels", progress=False)
    with pytest.raises(ConfigError, match=message):
        loop.check(network(protocol="target_only"), Toy(2), 4)


def test_what_a_module_offers_it_returns_and_nothing_that_is_not_wanted():
    module = network()
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        everything = module.signals(images, module.offers)
        plain = module.signals(images, ("logits",))
    assert everything.image_features.shape == (1, 1, everything.embeddings.shape[1])
    torch.testing.assert_close(
        everything.image_features[0, 0], everything.embeddings.mean((2, 3))[0]
    )
    assert (plain.embeddings, plain.image_features) == (None, None)
    assert torch.equal(plain.logits, everything.logits)

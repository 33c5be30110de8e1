"""The tests that every strategy passes. Needs pytest, which this package does not install.

Inherit from `StrategyContract` in a test file and say how to build the strategy:

    class TestMine(StrategyContract):
        strategy_name = "mine"

or override the fixture `strategy` to return any instance.
"""

# A test's name is the sentence that it checks.
# ruff: noqa: D102

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from alseg_strategies.errors import SignalError
from alseg_strategies.registry import create
from alseg_strategies.signals import Signals, signal_names
from alseg_strategies.strategy import BY_IMAGE, BY_PIXEL, RoundView, Strategy


def make_signals(logits: Tensor, seed: int = 0) -> Signals:
    """Signals with these B,C,H,W logits, names, and every other signal drawn at random."""
    images, classes, height, width = logits.shape
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(images, *shape, generator=generator).to(logits.device)

    return Signals(
        logits,
        radius=6 * drawn(height, width).abs(),
        embeddings=drawn(8, height, width),
        previous_logits=3 * drawn(classes, height, width),
        teacher_logits=3 * drawn(classes, height, width),
        views=3 * drawn(4, classes, height, width),
        predicted_loss=drawn(height, width).abs(),
        image_features=drawn(2, 8),
        names=[f"image-{place}" for place in range(images)],
    )


def make_logits(images: int = 2, classes: int = 5, height: int = 9, width: int = 13) -> Tensor:
    """Random B,C,H,W logits."""
    generator = torch.Generator().manual_seed(images + 10 * classes + 1000 * height + width)
    return 3 * torch.randn(images, classes, height, width, generator=generator)


class _Stream:
    """Signals of a few images, one at a time, made again in each pass, as an engine gives them."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed

    def __iter__(self) -> Iterator[Signals]:
        for place in range(self.count):
            generator = torch.Generator().manual_seed(100 * self.seed + place)
            logits = 3 * torch.randn(1, 5, 4, 6, generator=generator)
            signals = make_signals(logits, seed=100 * self.seed + place)
            yield replace(signals, names=[f"image-{place}"])


class StrategyContract:
    """What `Strategy` promises, as tests; one that looks at source and pool is fitted first."""

    strategy_name: str

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy under test: `create(strategy_name)` unless a subclass overrides this."""
        return create(self.strategy_name)

    def _score(self, strategy: Strategy, signals: Signals) -> Tensor:
        self._fit(strategy)
        return strategy.score(signals, generator=torch.Generator().manual_seed(7))

    def _fit(self, strategy: Strategy, source: int = 2) -> None:
        generator = torch.Generator().manual_seed(5)
        asked = {f"image-{place}": place / 4 for place in range(3)}
        view = RoundView(number=2, rounds=3, due=20, unit="pixels", asked=asked)
        strategy.fit(_Stream(source, seed=1), _Stream(3, seed=2), generator, round=view)

    def _shape(self, strategy: Strategy, *shape: int) -> tuple[int, ...]:
        """The shape of the scores of images B,H,W."""
        return shape[:1] if strategy.level in BY_IMAGE else shape

    def test_declares_known_signals_and_level(self, strategy: Strategy) -> None:
        assert strategy.requires <= signal_names()
        assert strategy.level in (*BY_PIXEL, *BY_IMAGE)

    def test_default_exclusion_keeps_regions_apart(self, strategy: Strategy) -> None:
        for radius in (0, 1, 3, 32):
            exclusion = strategy.exclusion_radius(radius)
            assert type(exclusion) is int
            assert exclusion >= radius

    def test_scores_every_pixel_or_every_image_as_its_level_says(self, strategy: Strategy) -> None:
        logits = make_logits()
        score = self._score(strategy, make_signals(logits))
        assert score.shape == self._shape(strategy, 2, 9, 13)
        assert score.is_floating_point()
        assert score.device == logits.device
        assert score.isfinite().all()

    def test_needs_no_signal_but_the_required(self, strategy: Strategy) -> None:
        signals = make_signals(make_logits())
        unused: dict[str, Any] = dict.fromkeys(signal_names() - strategy.requires - {"logits"})
        bare = replace(signals, **unused)
        torch.testing.assert_close(self._score(strategy, bare), self._score(strategy, signals))

    def test_a_missing_signal_is_named(self, strategy: Strategy) -> None:
        signals = make_signals(make_logits())
        for name in strategy.requires - {"logits"}:
            missing: dict[str, Any] = {name: None}
            with pytest.raises(SignalError, match=name):
                self._score(strategy, replace(signals, **missing))

    @pytest.mark.parametrize("classes", [2, 200])
    def test_any_number_of_classes(self, strategy: Strategy, classes: int) -> None:
        score = self._score(strategy, make_signals(make_logits(classes=classes)))
        assert score.isfinite().all()

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (6, 1)])
    def test_tiny_images(self, strategy: Strategy, height: int, width: int) -> None:
        score = self._score(strategy, make_signals(make_logits(height=height, width=width)))
        assert score.shape == self._shape(strategy, 2, height, width)
        assert score.isfinite().all()

    @pytest.mark.parametrize(
        ("dtype", "largest"),
        [
            (torch.float16, 6e4),
            (torch.bfloat16, 1e38),
            (torch.float32, 1e38),
            (torch.float32, torch.finfo(torch.float32).max),
        ],
    )
    def test_extreme_logits(self, strategy: Strategy, dtype: torch.dtype, largest: float) -> None:
        signs = make_logits().sign()
        for logits in (signs * largest, signs.abs() * largest, signs.clamp(max=0) * largest):
            score = self._score(strategy, make_signals(logits.to(dtype)))
            assert score.isfinite().all()

    def test_constant_logits(self, strategy: Strategy) -> None:
        score = self._score(strategy, make_signals(torch.zeros(2, 5, 9, 13)))
        assert score.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_logits_score_as_in_float32(
        self, strategy: Strategy, dtype: torch.dtype
    ) -> None:
        logits = make_logits().to(dtype)
        half = self._score(strategy, make_signals(logits))
        full = self._score(strategy, make_signals(logits.float()))
        torch.testing.assert_close(half.float(), full.float(), rtol=0, atol=1e-5)

    def test_a_batch_scores_like_its_images(self, strategy: Strategy) -> None:
        logits = make_logits(images=3)
        signals = make_signals(logits)
        batch = self._score(strategy, signals)
        self._fit(strategy)
        generator = torch.Generator().manual_seed(7)
        for index in range(3):
            single: dict[str, Any] = {
                name: getattr(signals, name)[index : index + 1] for name in signal_names()
            }
            signal = Signals(**single, names=[f"image-{index}"])
            score = strategy.score(signal, generator=generator)
            torch.testing.assert_close(score[0], batch[index], rtol=1e-5, atol=1e-6)

    def test_same_input_same_score_and_inputs_unchanged(self, strategy: Strategy) -> None:
        signals = make_signals(make_logits())
        tensors = {name: getattr(signals, name) for name in signal_names()}
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        state = torch.random.get_rng_state()
        first = self._score(strategy, signals)
        assert torch.equal(first, self._score(strategy, signals))
        assert torch.equal(state, torch.random.get_rng_state())
        for name, tensor in tensors.items():
            assert torch.equal(tensor, before[name])

    def test_fits_the_same_way_from_the_same_images_and_generator(self, strategy: Strategy) -> None:
        signals = make_signals(make_logits())
        state = torch.random.get_rng_state()
        twin = copy.deepcopy(strategy)
        assert torch.equal(self._score(strategy, signals), self._score(twin, signals))
        assert torch.equal(state, torch.random.get_rng_state())

    def test_what_it_has_fitted_can_be_sent_to_another_process(self, strategy: Strategy) -> None:
        signals = make_signals(make_logits())
        here = self._score(strategy, signals)
        there = copy.copy(strategy)
        vars(there).update(pickle.loads(pickle.dumps(vars(strategy))))
        generator = torch.Generator().manual_seed(7)
        assert torch.equal(there.score(signals, generator=generator), here)

    def test_fits_without_a_source(self, strategy: Strategy) -> None:
        self._fit(strategy, source=0)
        generator = torch.Generator().manual_seed(7)
        score = strategy.score(make_signals(make_logits()), generator=generator)
        assert score.isfinite().all()

    def test_memory_layout_does_not_matter(self, strategy: Strategy) -> None:
        signals = make_signals(make_logits())
        assert signals.radius is not None
        strided = replace(
            signals,
            logits=signals.logits.transpose(2, 3).contiguous().transpose(2, 3),
            radius=signals.radius.transpose(1, 2).contiguous().transpose(1, 2),
        )
        torch.testing.assert_close(
            self._score(strategy, strided), self._score(strategy, signals), rtol=1e-5, atol=1e-6
        )

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_scores_on_the_device_of_the_logits(self, strategy: Strategy) -> None:
        logits = make_logits()
        score = self._score(strategy, make_signals(logits.cuda()))
        assert score.is_cuda
        expected = self._score(strategy, make_signals(logits))
        torch.testing.assert_close(score.cpu(), expected, rtol=1e-4, atol=1e-5)

    def test_scores_carry_no_gradient(self, strategy: Strategy) -> None:
        score = self._score(strategy, make_signals(make_logits().requires_grad_()))
        assert not score.requires_grad

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_logits_that_are_not_finite_name_image_and_count(
        self, strategy: Strategy, value: float
    ) -> None:
        logits = make_logits()
        logits[1, 2, 3, 4:7] = value
        signals = make_signals(logits)
        with pytest.raises(SignalError, match=r"'image-1'.*\b3 of"):
            self._score(strategy, signals)
        with pytest.raises(SignalError, match=r"'street'.*\b3 of"):
            self._score(strategy, replace(signals, names=["park", "street"]))

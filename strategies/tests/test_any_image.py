"""Every strategy, whatever the size, the classes and the numbers of its images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alseg_strategies import SignalError, Signals, available, create, options
from alseg_strategies.softmax import predicted_classes

STRATEGIES = list(available())


@st.composite
def batches(draw):
    """Signals of one or two images: noise, blocks of one class, or the same logits everywhere."""
    images, classes = draw(st.integers(1, 2)), draw(st.integers(2, 40))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block = draw(st.sampled_from([1, 16, 70]))
    shape = (images, classes, -(-height // block), -(-width // block))
    logits = numbers.normal(0, draw(st.sampled_from([0, 1e-3, 1, 30, 1e30])), shape)
    logits = logits.repeat(block, -2).repeat(block, -1)[..., :height, :width]
    radius = numbers.uniform(0, draw(st.sampled_from([0, 1e-6, 20])), (images, height, width))
    return shown(
        torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(radius.astype(np.float32))
    )


def shown(logits, radius):
    """Signals with all that the strategies here look at; the teacher has its classes reversed."""
    return Signals(logits, radius=radius, teacher_logits=logits.flip(1))


def with_radius(name, radius):
    return create(name, **({"radius": radius} if "radius" in options(name) else {}))


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=40)
@given(signals=batches(), radius=st.sampled_from([0, 1, 2, 5, 33, 71, 10**6]))
def test_a_score_is_finite_and_one_a_pixel(name, signals, radius):
    score = with_radius(name, radius).score(signals)
    images, _, height, width = signals.logits.shape
    assert score.shape == (images, height, width)
    assert score.isfinite().all()
    assert score.min() >= 0


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=20)
@given(
    signals=batches(), value=st.sampled_from([torch.nan, torch.inf, -torch.inf]), place=st.data()
)
def test_a_logit_that_is_not_finite_names_its_image(name, signals, value, place):
    image, *rest = (place.draw(st.integers(0, size - 1)) for size in signals.logits.shape)
    signals.logits[(image, *rest)] = value
    size = signals.logits[0].numel()
    with pytest.raises(SignalError, match=rf"in logits \(image {image}: 1 of {size}\)"):
        with_radius(name, 1).score(signals)


@pytest.mark.parametrize("name", list(available()))
def test_the_layout_of_the_logits_in_memory_does_not_matter(name):
    draw = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(2, 19, 33, 47, generator=draw)
    radius = torch.rand(2, 33, 47, generator=draw)
    last = logits.to(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    scores = [
        create(name).score(shown(maps, radius), torch.Generator().manual_seed(1))
        for maps in (logits, last)
    ]
    torch.testing.assert_close(*scores)
    last[1, 4, 5, 6] = torch.nan
    with pytest.raises(SignalError, match="image 1"):
        create(name).score(shown(last, radius))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [name for name in available() if name != "random"])
def test_an_accelerator_scores_alike(name):
    draw = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(2, 19, 65, 130, generator=draw)
    radius = torch.rand(2, 65, 130, generator=draw)
    score = create(name).score(shown(logits, radius))
    there = create(name).score(shown(logits.cuda(), radius.cuda()))
    torch.testing.assert_close(there.cpu(), score, rtol=1e-4, atol=1e-5)


def test_more_classes_than_16_bits_number_are_told_apart():
    logits = torch.zeros(1, 40_000, 1, 2)
    logits[0, 39_999, 0, 0] = logits[0, 7, 0, 1] = 1
    assert predicted_classes(logits).tolist() == [[[39_999, 7]]]

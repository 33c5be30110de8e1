"""How much a score takes beside the logits; the labels of 19 classes must fit a small machine."""

import pytest
import torch

from alseg_strategies import Signals, available, create
from benchmarks.measure import peak_bytes


def test_the_peak_is_what_lives_at_a_time():
    x = torch.zeros(1000)

    def function():
        for _ in range(3):
            y = x + 1
            z = y.double()
            del y
            z.view(10, 100).mul_(2)
        kept = torch.add(x, 1, out=torch.empty(0))
        return z, kept

    # y and z at the end of a round, with the z of the round before.
    assert peak_bytes(function) == (1000 + 2 * 2 * 1000) * 4
    assert peak_bytes(lambda: x[:10].view(2, 5).add_(1)) == 0


@pytest.mark.parametrize("name", list(available()))
@pytest.mark.parametrize("radius", [1, 32])
def test_a_score_takes_no_more_than_three_times_the_logits(name, radius):
    logits = torch.randn(1, 19, 256, 512)
    signals = Signals(logits, radius=torch.rand(1, 256, 512))
    windowed = {"radius": radius} if name in ("ripu", "halo") else {}
    strategy = create(name, **windowed)
    assert peak_bytes(lambda: strategy.score(signals)) <= 3 * logits.nbytes

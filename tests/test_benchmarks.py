"""What the benchmarks compare with computes the same."""

import pytest
import torch

from alseg.models.hyperbolic import HyperbolicHead
from alseg_strategies import Signals, available, create, select_regions
from benchmarks import plain
from benchmarks.measure import peak_bytes
from benchmarks.training import published_head

LOGITS = 3 * torch.randn(2, 7, 23, 31, generator=torch.Generator().manual_seed(0))
RADIUS = 6 * torch.rand(2, 23, 31, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["entropy", "margin", "least-confidence"])
def test_baselines_of_pixels_score_alike(name):
    expected = getattr(plain, name.replace("-", "_"))(LOGITS)
    score = create(name).score(Signals(LOGITS))
    torch.testing.assert_close(score, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("radius", [0, 1, 4])
def test_baselines_of_regions_score_alike(radius):
    signals = Signals(LOGITS, radius=RADIUS)
    score = create("ripu", radius=radius).score(signals)
    torch.testing.assert_close(score, plain.ripu(LOGITS, radius), rtol=0, atol=1e-4)
    if radius:
        score = create("halo", radius=radius).score(signals)
        torch.testing.assert_close(score, plain.halo(LOGITS, RADIUS, radius), rtol=0, atol=1e-4)


@pytest.mark.parametrize("levels", [1, 5, 10_000])
def test_the_loop_picks_alike(levels):
    score = (levels * torch.rand(40, 50, generator=torch.Generator().manual_seed(0))).floor()
    centres, labelled = plain.select(score, 30, radius=1, exclusion=2)
    regions = select_regions(score, 30, radius=1)
    assert torch.equal(regions.centres, centres)
    assert torch.equal(regions.labelled, labelled)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 5, 2**24])
def test_ten_thousand_picks_of_a_large_map_are_those_of_the_loop(levels):
    draw = torch.Generator().manual_seed(0)
    score = (levels * torch.rand(1024, 2048, generator=draw)).floor()
    centres, labelled = plain.select(score, 10_000, radius=1, exclusion=2)
    regions = select_regions(score, 10_000, radius=1)
    assert torch.equal(regions.centres, centres)
    assert torch.equal(regions.labelled, labelled)


def test_the_published_formula_of_the_head_gives_its_logits():
    torch.manual_seed(0)
    head = HyperbolicHead(16, 5, dim=8, curvature=0.7).double().eval()
    features = 4 * torch.randn(2, 16, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(published_head(head, features), head(features).logits)


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
    signals = Signals(logits, radius=torch.rand(1, 256, 512), teacher_logits=logits.flip(1))
    windowed = {"radius": radius} if name in ("ripu", "halo") else {}
    strategy = create(name, **windowed)
    assert peak_bytes(lambda: strategy.score(signals)) <= 3 * logits.nbytes

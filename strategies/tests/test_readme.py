"""The README's code runs as it stands."""

import re
from pathlib import Path

import pytest
import torch

from alseg_strategies import create, registry
from alseg_strategies.testing import StrategyContract

README = Path(__file__).parents[1] / "README.md"


def block(containing):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [code for code in blocks if containing in code]
    return found


def test_a_plain_loop():
    torch.manual_seed(0)
    asked = {name: torch.zeros(32, 48, dtype=torch.bool) for name in ("a", "b")}
    answers = {}
    names = {
        "pool": [(name, torch.rand(3, 32, 48)) for name in asked],
        "model": torch.nn.Conv2d(3, 5, 3, padding=1),
        "asked": asked,
        "ask_for_labels": answers.__setitem__,
    }
    exec(block("select_regions"), names)
    assert all(answers[name].shape == (40, 2) for name in ("a", "b"))
    assert all(mask.sum() > 40 * 9 for mask in asked.values())


@pytest.fixture(scope="module")
def own():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {})
        exec(block("class Contrast"), {"__name__": "readme"})
        yield create("contrast", radius=2)


class TestTheStrategyOfTheReadme(StrategyContract):
    @pytest.fixture
    def strategy(self, own):
        return own

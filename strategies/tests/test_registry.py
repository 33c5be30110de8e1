import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import alseg_strategies
from alseg_strategies import (
    DuplicateStrategy,
    PluginError,
    Strategy,
    UnknownOption,
    UnknownStrategy,
    available,
    create,
    options,
    register,
    registry,
)

BUILT_IN = [
    "random",
    "entropy",
    "margin",
    "least-confidence",
    "teacher-disagreement",
    "ripu",
    "halo",
]


class Mine(Strategy):
    """Ask for bright logits.

    More about it.
    """

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def score(self, signals, generator=None):
        return signals.logits.amax(1) ** self.power


@pytest.fixture
def clean_registry(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A distribution with an entry point, as an installer leaves it on the path."""

    def install(name, target, distribution="alseg-else", module="alseg_else"):
        (tmp_path / f"{module}.py").write_text(
            "import alseg_strategies\n"
            "class Else(alseg_strategies.Strategy):\n"
            "    def score(self, signals, generator=None):\n"
            "        return signals.logits.sum(1)\n"
        )
        metadata = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[alseg.strategies]\n{name} = {target}\n")

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("alseg_else", None)


def test_lists_the_built_in_strategies_in_one_line_each():
    listing = available()
    assert list(listing)[: len(BUILT_IN)] == BUILT_IN
    assert all(listing[name] and "\n" not in listing[name] for name in BUILT_IN)


def test_listing_imports_no_torch():
    program = (
        "import sys, alseg_strategies; names = list(alseg_strategies.available())\n"
        "assert names[0] == 'random', names\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "try: alseg_strategies.create('rippu')\n"
        "except alseg_strategies.UnknownStrategy: pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    source = Path(alseg_strategies.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_every_public_name_can_be_had():
    for name in alseg_strategies.__all__:
        assert getattr(alseg_strategies, name) is not None
        assert name in dir(alseg_strategies)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        alseg_strategies.nonsense  # noqa: B018


@pytest.mark.parametrize("name", BUILT_IN)
def test_options_are_the_defaults_and_plain_attributes(name):
    strategy = create(name)
    for option, default in options(name).items():
        assert default is not inspect.Parameter.empty
        assert getattr(strategy, option) == default


def test_ripu_and_halo_have_the_options_that_are_promised():
    assert options("ripu") == {
        "radius": 1,
        "mode": "region",
        "impurity": True,
        "uncertainty": True,
    }
    assert options("halo") == {
        "radius": 1,
        "term": "variance",
        "uncertainty": True,
        "normalize": True,
        "bins": 100,
    }


def test_a_misspelt_strategy_is_told_the_right_name():
    with pytest.raises(UnknownStrategy, match=r"no strategy 'rippu'; did you mean 'ripu'\?"):
        create("rippu")
    with pytest.raises(UnknownStrategy, match=r"no strategy 'xyzzy'\. Available: random, "):
        options("xyzzy")
    assert issubclass(UnknownStrategy, ValueError)


def test_a_misspelt_option_is_told_the_right_one_and_all_defaults():
    with pytest.raises(UnknownOption, match=r"'raduis'; did you mean 'radius'\?.*bins=100"):
        create("halo", raduis=2)
    with pytest.raises(UnknownOption, match=r"entropy has no option 'radius'\. .* none\."):
        create("entropy", radius=2)
    assert issubclass(UnknownOption, TypeError)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("ripu", {"radius": -1}, "radius is -1"),
        ("ripu", {"radius": 1.5}, "radius is 1.5"),
        ("ripu", {"radius": True}, "radius is True"),
        ("ripu", {"mode": "pixels"}, "mode is 'pixels'; it must be region or pixel"),
        ("halo", {"radius": -1}, "radius is -1"),
        ("halo", {"term": "purity"}, "it must be variance or impurity or radius"),
        ("halo", {"bins": 1}, "bins is 1"),
    ],
)
def test_values_that_make_no_sense_are_refused(name, given, message):
    with pytest.raises(ValueError, match=message):
        create(name, **given)


@pytest.mark.usefixtures("clean_registry")
def test_register_as_decorator_and_as_call():
    assert register("mine")(Mine) is Mine
    assert register("mine-too", Mine) is Mine
    assert available()["mine"] == "Ask for bright logits."
    assert create("mine", power=3.0).power == 3.0
    assert options("mine-too") == {"power": 2.0}


@pytest.mark.usefixtures("clean_registry")
@pytest.mark.parametrize("name", ["ripu", "mine"])
def test_a_name_is_registered_once(name):
    register("mine", Mine)
    with pytest.raises(DuplicateStrategy, match=f"two strategies are called '{name}'"):
        register(name, Mine)


def test_an_entry_point_is_listed_without_its_import_and_can_be_created(plugin):
    plugin("else", "alseg_else:Else")
    assert available()["else"] == "plug-in alseg_else:Else"
    assert "alseg_else" not in sys.modules
    strategy = create("else")
    assert isinstance(strategy, Strategy)
    assert strategy.score(alseg_strategies.Signals(torch.ones(1, 3, 2, 2))).sum() == 12


def test_a_broken_entry_point_names_the_culprit(plugin):
    plugin("else", "alseg_else:Missing")
    assert "else" in available()
    with pytest.raises(PluginError, match="alseg_else:Missing"):
        create("else")
    assert create("entropy")


def test_an_entry_point_may_not_take_a_name(plugin):
    plugin("ripu", "alseg_else:Else")
    with pytest.raises(DuplicateStrategy, match="alseg_else:Else"):
        available()

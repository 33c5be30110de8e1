import pytest

from alseg.config.budget import Budget
from alseg.config.run import checked_strategy, config_from, dump_settings
from alseg.config.variants import name_by_itself, variant_of


def settings_of(**settings):
    """Return all settings of a run, as its folder keeps them."""
    config = config_from({"strategy": "ripu", "budget": "0.01", **settings})
    return dump_settings(checked_strategy(config))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "ripu at 1 %"),
        ({"budget": "40 clicks"}, "ripu at 40 clicks"),
        ({"budget": "4 regions"}, "ripu at 4 regions per image"),
        ({"protocol": "source_free"}, "ripu (source_free) at 1 %"),
        ({"strategy": "halo"}, "halo (head=hyperbolic) at 1 %"),
        (
            {"head": "hyperbolic", "strategy_options": {"impurity": False}},
            "ripu (head=hyperbolic, impurity=False) at 1 %",
        ),
        ({"strategy_options": {"radius": 2}}, "ripu (radius of the strategy=2) at 1 %"),
        # What it is where it is left open.
        ({"radius": 1}, "ripu at 1 %"),
        ({"annotator": "manual"}, "ripu (annotator=manual) at 1 %"),
        (
            {"protocol": "source_free", "radius": 4, "negative_weight": 0.0, "scope": "image"},
            "ripu (source_free, negative_weight=0.0, radius=4) at 1 %",
        ),
        ({"protocol": "source_only", "radius": 4}, "source_only"),
        (
            {"protocol": "source_only", "head": "hyperbolic", "strategy_options": {"impurity": 0}},
            "source_only (head=hyperbolic)",
        ),
    ],
)
def test_a_variant_by_itself_is_named_by_what_is_not_usual(settings, name):
    assert name_by_itself(settings_of(**settings)) == name
    assert name_by_itself(settings_of(**settings, seed=5, steps=900, workers=0)) == name


def test_runs_are_of_one_variant_if_they_differ_in_budget_seed_place_and_machine_alone():
    one = variant_of(settings_of())
    for settings in (
        {"budget": "5%", "seed": 3, "out": "there", "experiment": "x", "pictures": 0},
        {"workers": 7, "accelerator": "cpu", "devices": 2, "init_from": "start.ckpt"},
        {"source": "scenes:dusk", "target_options": {"count": 3}, "radius": 1},
    ):
        assert variant_of(settings_of(**settings)) == one
    for settings in ({"scope": "pool"}, {"target_weight": 2.0}, {"steps": 5}, {"radius": 2}):
        assert variant_of(settings_of(**settings)) != one


def test_what_goes_without_saying_is_for_the_caller_to_say():
    variant = variant_of({"protocol": "source_free", "strategy": "ripu", "scope": "pool"})
    assert variant.name({}) == "ripu (source_free, radius=1, scope=pool)"
    assert variant.name({"protocol": "source_free", "radius": "1"}) == "ripu (scope=pool)"
    unsaid = {"protocol": "source_free", "radius": "1", "scope": "pool", "head": "linear"}
    assert variant.name(unsaid, Budget.parse("5%")) == "ripu (head=None) at 5 %"


@pytest.mark.parametrize(
    ("settings", "budget", "name"),
    [
        ({}, "0.1%", "ripu-0.1%"),
        (
            {"protocol": "source_free", "radius": 4},
            "1500 clicks",
            "source_free-ripu-radius=4-1500-clicks",
        ),
        ({"encoder_weights": "a/b c.pth"}, "4 regions", "ripu-encoder_weights=b-c.pth-4-regions"),
        ({"protocol": "source_only", "head": "hyperbolic"}, None, "source_only-head=hyperbolic"),
    ],
)
def test_the_name_of_a_folder_has_no_space_no_parenthesis_and_no_slash(settings, budget, name):
    made = {"protocol": "source_target", "strategy": "ripu", **settings}
    variant = variant_of(made)
    unsaid = {"protocol": "source_target", **({"radius": "1"} if variant.strategy else {})}
    chosen = None if budget is None else Budget.parse(budget)
    assert variant.folder_name(unsaid, chosen) == name

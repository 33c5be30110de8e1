from typing import get_args

import pytest

from alseg.config.run import RunConfig
from alseg.config.setting import Tag
from alseg.config.settings import all_settings, names_of
from alseg.config.size import parse_size
from alseg.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"), [("180x240", (180, 240)), ("1x1", (1, 1)), ("0096x128", (96, 128))]
)
def test_a_size_is_height_and_width(text, size):
    assert parse_size("size", text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("180", "x", "0x240", "180x0", "-1x5", "1.5x2", "1e3x10", "nanx5", "infx5"),
        *("1_000x10", "1,000x10", "\u0661\u0662x10", "\uff11x10", "180X240", " 1x1", "1x1\n"),
        *("9" * 20_000 + "x1", "1x" + "9" * 20_000, "0" * 20_000),
    ],
)
def test_what_is_no_size_is_refused_in_a_sentence(text):
    with pytest.raises(ConfigError, match="write HEIGHTxWIDTH in pixels") as caught:
        parse_size("size", text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "source_weight", "poly_power"])
@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-inf"])
def test_numbers_of_settings_are_finite(name, value):
    with pytest.raises(ConfigError, match=f"{name} is "):
        RunConfig(**{name: float(value)})


@pytest.mark.parametrize(
    ("name", "refused", "must", "taken"),
    [
        ("batch_size", 1, "be 2 or more", 2),
        ("weight_decay", -1e-9, "be 0 or more", 0.0),
        ("decay_steps", 0, "be 1 or more", None),
        ("curvature", 0.0, "be above 0", 1e-9),
        ("momentum", 1.0, r"be in \[0, 1\)", 0.0),
        ("negative_threshold", -0.1, r"be in \[0, 1\)", 0.99),
    ],
)
def test_a_number_out_of_the_bounds_at_its_field_is_refused(name, refused, must, taken):
    assert getattr(RunConfig(**{name: taken}), name) == taken
    with pytest.raises(ConfigError, match=rf"{name} is {refused}; it must {must}\."):
        RunConfig(**{name: refused})


def test_images_that_are_scaled_at_random_are_cut_to_one_size():
    assert RunConfig(random_scale=[0.5, 2.0], crop=(9, 9)).random_scale == [0.5, 2.0]
    with pytest.raises(ConfigError, match="give crop or size"):
        RunConfig(random_scale=[0.5, 2.0])
    with pytest.raises(ConfigError, match="give crop or size"):
        RunConfig(random_scale=[0.5, 2.0], source_size=(9, 9))
    with pytest.raises(ConfigError, match=r"random_scale is \[0.5, inf\]; it must be two numbers"):
        RunConfig(random_scale=[0.5, float("inf")], crop=(9, 9))


def test_what_settings_belong_to_is_known_and_every_such_word_is_of_use():
    assert set(get_args(Tag)) == {tag for entry in all_settings() for tag in entry.of}


def test_names_are_asked_for_by_what_the_settings_belong_to_in_their_order():
    assert names_of("moved") == ("source", "target")
    assert names_of("machine") == names_of("resume")
    assert names_of("resume") == ("workers", "accelerator", "devices", "num_nodes", "progress")
    assert names_of("head", "moved")[-2:] == ("curvature", "reweighting")
    assert set(names_of("output")) == {
        *("out", "name", "resume", "logger", "wandb_project", "experiment", "pictures", "progress")
    }


def test_a_mapping_is_not_shared_between_runs():
    one, other = RunConfig(), RunConfig()
    assert one.source_options == {}
    assert one.source_options is not other.source_options

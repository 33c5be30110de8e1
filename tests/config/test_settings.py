import pytest

from alseg.config.run import RunConfig
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

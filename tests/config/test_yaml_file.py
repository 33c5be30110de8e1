"""Files of settings and descriptions of data: what YAML reads in silence is refused in words."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alseg.config.yaml_file import read_mapping, read_value, write_mapping
from alseg.errors import ConfigError


def read(tmp_path, content: str | bytes):
    path = tmp_path / "a.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_mapping(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: süd".encode("utf-16"), "not UTF-8 text"),
        ("name: süd".encode("utf-16-be"), "not UTF-8 text"),
        ("name: süd".encode("latin-1"), "not UTF-8 text"),
        (b"name: a\x00b", "special characters are not allowed"),
        ("mapping:\n\t0: sky\n", "line 2"),
        ("[a, b]: c", "line 1.*a list cannot be a key"),
        ("? {a: b}\n: c", "a mapping cannot be a key"),
        ("a: {[1]: 2}", "a list cannot be a key"),
        ("a: " + "[" * 5000, "nested"),
        ("a: " + "{a: " * 5000, "nested"),
        ("a: " + "[" * 150 + "]" * 150, "nested"),
        ("- " * 5000 + "a", "nested"),
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is given twice"),
        ("m: {7: a, 0x7: b}", "0x7.*7 is given twice"),
        ("m:\n  7: a\n  +7: b\n", r"line 3: '\+7' is the same as a key before it; 7 is given"),
        ("m: {7: a, 007: b}", "007 begins with 0.* 7"),
        ("m: {010: a}", "010 begins with 0.* 10"),
        ("m: {008: a}", "008 begins with 0.* 8"),
        ("seed: -010", "-010 begins with 0"),
        ("day: 2001-99-99", "line 1.*2001-99-99"),
        ("count: 0x_", "0x_"),
        ("count: " + "9" * 5000, "line 1"),
        ("a: &a {? *a : 1}", "line 1"),
        ("a: !!python/object:os.system x", "line 1"),
        ("a: *nobody", "undefined alias"),
        ("just words", "expected settings"),
    ],
)
def test_what_is_not_plain_settings_is_refused_in_one_sentence(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message) as refused:
        read(tmp_path, content)
    assert str(tmp_path / "a.yaml") in str(refused.value)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


def laughs(first: str, line: str, levels: int = 12) -> str:
    lines = [f"a0: &a0 {first}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} " + line.format(", ".join([f"*a{level - 1}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "content",
    [laughs("[lol]", "[{}]"), laughs("{x: 1}", "{{<<: [{}]}}"), laughs("lol", "{{k: [{}]}}")],
)
def test_aliases_that_expand_without_bound_are_refused_before_they_do(tmp_path, content):
    with pytest.raises(ConfigError, match="aliases"):
        read(tmp_path, content)


def test_a_list_that_holds_itself_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds itself"):
        read(tmp_path, "a: &a [*a]")


def test_aliases_and_merged_keys_are_read_as_yaml_defines_them(tmp_path):
    content = "base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nagain: *b\n"
    assert read(tmp_path, content) == {
        "base": {"x": 1, "y": 2},
        "mine": {"x": 1, "y": 3},
        "again": {"x": 1, "y": 2},
    }


def test_a_byte_order_mark_before_utf_8_is_no_part_of_the_first_key(tmp_path):
    assert read(tmp_path, "name: süd".encode("utf-8-sig")) == {"name": "süd"}


def test_zero_and_quoted_digits_are_no_octal_numbers(tmp_path):
    assert read(tmp_path, "a: 0\nb: '010'\nc: 0.5\nd: 1e-3\ne: 0x10\n") == {
        "a": 0,
        "b": "010",
        "c": 0.5,
        "d": 1e-3,
        "e": 16,
    }


@pytest.mark.parametrize("text", ["[" * 5000, "[a]: b", "010", "2001-99-99", "9" * 5000, "&a [*a]"])
def test_a_value_that_is_no_plain_yaml_is_a_text(text):
    assert read_value(text) == text


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1), PLAIN, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    path.write_text(write_mapping(content), encoding="utf-8")
    assert read_mapping(path) == content
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == content

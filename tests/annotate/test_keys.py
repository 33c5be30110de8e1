import pytest

from alseg.annotate.keys import COMMAND_KEYS, class_keys
from alseg.config.answer_keys import ANSWER_KEYS


@pytest.mark.parametrize("count", [1, 9, 19, 35, 61, 150, 254])
def test_no_key_stands_for_two_answers(count):
    keys = [key for key in class_keys(count) if key]
    assert len(class_keys(count)) == count
    assert len(keys) == min(count, 61)
    others = [*(answer.key for answer in ANSWER_KEYS), *COMMAND_KEYS.values()]
    assert len({*keys, *others}) == len(keys) + len(others)


def test_classes_have_digits_then_letters_then_letters_with_shift():
    keys = class_keys(36)
    assert "".join(keys[:35]) == "123456789abcdefghijklmnopqrstuvwxyz"
    assert keys[35] == "Shift+a"

import pytest

from alseg.annotate.keys import OTHER_KEYS, class_keys


@pytest.mark.parametrize("count", [1, 9, 19, 35, 61, 150, 254])
def test_no_key_stands_for_two_answers(count):
    keys = [key for key in class_keys(count) if key]
    assert len(class_keys(count)) == count
    assert len(keys) == min(count, 61)
    assert len({*keys, *OTHER_KEYS.values()}) == len(keys) + len(OTHER_KEYS)


def test_classes_have_digits_then_letters_then_letters_with_shift():
    keys = class_keys(36)
    assert "".join(keys[:35]) == "123456789abcdefghijklmnopqrstuvwxyz"
    assert keys[35] == "Shift+a"

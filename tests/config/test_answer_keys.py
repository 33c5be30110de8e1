import re
from pathlib import Path

import pytest

from alseg.annotate.keys import COMMAND_KEYS, class_keys
from alseg.config.answer_keys import ANSWER_KEYS, MIXED, NOT_CHARGED, OTHERS, SKIP, VOID

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = {"ArrowRight": "→"}


def test_the_words_in_files_and_tools_are_these():
    assert [answer.word for answer in ANSWER_KEYS] == ["mixed", "void", "skip"]
    assert list(OTHERS) == [MIXED, VOID, SKIP]
    assert {"skip"} == NOT_CHARGED


def test_nothing_stands_for_two_answers():
    for field in ("word", "key", "label", "said", "color"):
        assert len({getattr(answer, field) for answer in ANSWER_KEYS}) == len(ANSWER_KEYS)


@pytest.mark.parametrize("answer", ANSWER_KEYS, ids=lambda answer: answer.word)
def test_the_manual_names_every_answer(answer):
    key = SHOWN.get(answer.key, answer.key)
    page, exchange = ((DOCS / name).read_text() for name in ("labelling.md", "exchange.md"))
    assert re.search(rf"^\| `{key}` \| {answer.word}: ", page, re.MULTILINE)
    assert f"\n| `{answer.word}` | " in exchange


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

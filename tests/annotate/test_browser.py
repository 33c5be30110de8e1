"""People's ways through a round, in a real browser."""

import signal
import socket
import time

import pytest
from tests.helpers.asked import journal, make_round

from alseg.annotate.opening import redirection

pytestmark = pytest.mark.browser

NO_SERVER = "net::ERR_"


@pytest.fixture
def port():
    """A port that is free now, so that a server can be started there again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_person_answers_a_whole_round(tmp_path, start, new_tab, port, say):
    asked = make_round(tmp_path, 30, size=(120, 160), images=5)
    command = start(tmp_path, port=port)
    url = command.url()
    tab = new_tab().open(url)
    keys = {"1": 0, "2": 1, "3": 2, "4": 3, "5": 4, "0": "void", "ArrowRight": "skip"}
    pressed, begun = [], time.monotonic()

    def answer(count, shift=0):
        for number in range(count):
            key = list(keys)[(number + shift) % len(keys)]
            pressed.append((tab.press(key), keys[key]))

    def undo(count):
        for _ in range(count):
            tab.press("Backspace")
            pressed.append((tab.query, None))

    answer(8)
    undo(3)
    answer(5, 2)
    tab.page.reload()
    tab.page.wait_for_selector("body[data-query]")
    undo(4)
    answer(7, 4)
    command.stop(signal.SIGKILL)
    waiting = tab.query
    tab.page.keyboard.press("3")
    tab.page.wait_for_selector("#notice:visible")
    assert "Your answer is kept" in tab.text("#notice")
    # Nothing else is answered while one answer waits.
    tab.page.keyboard.press("4")
    tab.page.keyboard.press("Backspace")
    start(tmp_path, port=port).url()
    tab.page.wait_for_function("before => document.body.dataset.query !== before", arg=waiting)
    pressed.append((waiting, 2))
    assert not tab.page.is_visible("#notice")
    undo(2)
    tab.open(url)
    while tab.query != "done":
        answer(1, len(pressed))
    seconds = time.monotonic() - begun
    assert journal(asked) == pressed
    assert tab.text("#count") == "30 of 30"
    assert tab.text("#done-title") == "All queries are answered"
    assert tab.text("#next").startswith("alseg labels export")
    undo(1)
    assert journal(asked) == pressed
    assert tab.query == "r001-q000030"
    assert any(NO_SERVER in complaint for complaint in tab.complaints)
    tab.complaints = [complaint for complaint in tab.complaints if NO_SERVER not in complaint]
    say(f"walk through 30 queries: {seconds / len(pressed):.2f} s a key")


def test_the_file_that_a_browser_is_given_leads_to_the_page(tmp_path, start, new_tab):
    make_round(tmp_path, 2)
    url = start(tmp_path).url()
    with redirection(tmp_path, url) as page:
        tab = new_tab().open(page.as_uri())
    assert (tab.page.url, tab.query) == (url, "r001-q000001")


def test_two_tabs_lose_and_double_nothing(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 10)
    url = start(tmp_path).url()
    first, second = new_tab().open(url), new_tab().open(url)
    assert first.press("1") == second.query
    stale = second.query
    second.press("2")
    assert "answered in another window" in second.text("#notice")
    assert second.query == first.query != stale
    pressed = [(stale, 0), (second.press("3"), 2), (second.press("4"), 3)]
    assert not second.page.is_visible("#notice")
    first.press("Backspace")
    assert first.query == second.query
    pressed.append((first.press("5"), 4))
    assert journal(asked) == pressed
    second.complaints = [words for words in second.complaints if "409" not in words]
    first.complaints = [words for words in first.complaints if "409" not in words]


def test_a_mixed_window_is_answered_part_by_part(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 4)
    tab = new_tab().open(start(tmp_path).url())
    one, two = tab.press("1"), tab.press("Space")
    for number in (1, 2, 3, 4):
        assert tab.query == f"{two}.{number}"
        assert tab.text("#window").startswith(f"part {number} of 4")
        # Four windows, and four parts of one; each answer counts.
        assert tab.text("#count") == f"{1 + number} of 8"
        tab.press("Space" if number == 2 else str(number))
    assert tab.text("#count") == "6 of 8"
    tab.press("Backspace")
    assert tab.query == f"{two}.4"
    parts = [(f"{two}.1", 0), (f"{two}.2", "mixed"), (f"{two}.3", 2), (f"{two}.4", 3)]
    assert journal(asked) == [(one, 0), (two, "mixed"), *parts, (f"{two}.4", None)]


def test_the_guess_is_shown_only_when_it_is_asked_for(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 3)
    tab = new_tab().open(start(tmp_path).url())
    assert tab.page.locator(".guessed").count() == 0
    tab.page.keyboard.press("ArrowUp")
    tab.page.wait_for_selector(".guessed")
    guess = asked.classes[asked.queries[0].guess]
    assert tab.text(".guessed .name") == guess
    tab.press("1")
    assert tab.page.locator(".guessed").count() == 0


@pytest.mark.parametrize(
    ("key", "code", "shift", "answer"),
    [
        ("&", "Digit1", False, 0),  # French: digits need shift, the place counts.
        ("1", "Digit1", True, 0),
        ("5", "Numpad5", False, 4),
        ("A", "KeyA", False, 9),  # Caps lock is no shift.
        ("q", "KeyA", False, 25),  # French: the letter counts, not its place.
        ("ф", "KeyA", False, 9),  # Russian writes no Latin letter: its place counts.
        ("Process", "KeyA", False, 9),
        ("A", "KeyA", True, 35),
    ],
)
def test_keyboards_of_all_languages_answer(tmp_path, start, new_tab, key, code, shift, answer):
    asked = make_round(tmp_path, 3, classes=tuple(f"class {n}" for n in range(40)))
    tab = new_tab().open(start(tmp_path).url())
    before = tab.query
    tab.page.evaluate(
        "press => document.body.dispatchEvent(new KeyboardEvent('keydown', press))",
        {"key": key, "code": code, "shiftKey": shift, "bubbles": True},
    )
    tab.page.wait_for_function("before => document.body.dataset.query !== before", arg=before)
    assert journal(asked) == [(before, answer)]


def test_a_key_that_is_held_down_answers_once(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 9)
    tab = new_tab().open(start(tmp_path).url())
    before = tab.query
    for _ in range(5):
        tab.page.keyboard.down("2")
    tab.page.wait_for_function("before => document.body.dataset.query !== before", arg=before)
    tab.page.keyboard.down("2")
    tab.page.keyboard.up("2")
    tab.press("3")
    assert journal(asked) == [(before, 1), ("r001-q000002", 2)]


def test_several_people_sign_in_by_name_and_review(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 4)
    url = start(tmp_path, "--annotators", "anna,ben", "--overlap", "1").url()
    for name, keys in (("anna", "1234"), ("ben", "1243")):
        tab = new_tab()
        tab.page.goto(url)
        tab.page.click(f"#people button:has-text('{name}')")
        tab.page.wait_for_selector("body[data-query]")
        for key in keys:
            tab.press(key)
        assert journal(asked, name) == [
            (query.id, int(key) - 1) for query, key in zip(asked.queries, keys, strict=True)
        ]
    assert tab.text("#done-text").startswith("People disagree on 2 queries: settle them")
    tab.page.click("#review")
    tab.page.wait_for_selector("body[data-query]")
    assert tab.page.locator("#items li").count() == 2
    assert tab.text("#agreement").startswith("2 to settle · Cohen's kappa 0.33 · 50 % equal")
    assert tab.press("5") == "r001-q000003"
    assert tab.text("#agreement").startswith("1 to settle")
    assert tab.press("ArrowUp") == "r001-q000004"
    tab.page.keyboard.press("Backspace")
    tab.page.wait_for_function(
        "() => document.getElementById('agreement').textContent.startsWith('2 to')"
    )
    assert journal(asked, "review") == [("r001-q000003", 4), ("r001-q000003", None)]


def test_a_query_whose_image_is_gone_can_be_skipped_but_not_answered(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 3)
    (asked.folder / "images/city/b.png").unlink()
    tab = new_tab().open(start(tmp_path).url())
    tab.page.keyboard.press("1")
    tab.page.wait_for_selector("#notice:visible")
    assert "city/b.png is gone" in tab.text("#notice")
    tab.page.keyboard.press("2")
    tab.press("ArrowRight")
    assert not tab.page.is_visible("#notice")
    assert tab.press("3") == "r001-q000003"
    assert journal(asked) == [(f"r001-q{n:06d}", said) for n, said in ((1, 0), (2, "skip"), (3, 2))]
    tab.complaints = [words for words in tab.complaints if "422" not in words]

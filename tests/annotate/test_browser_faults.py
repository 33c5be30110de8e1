"""What the page does when replies are lost or are refusals, in a real browser."""

import pytest
from tests.helpers.asked import journal, make_round

pytestmark = pytest.mark.browser


def lose_a_reply(tab):
    """Let the next answer arrive and its reply be lost, as when the network breaks in between."""

    def lose(route):
        route.fetch()
        route.abort()

    tab.page.route("**/api/answer", lose, times=1)


def forgive(tab, *words):
    """Take complaints about what the test did itself off the list; each must be there."""
    for word in words:
        assert any(word in complaint for complaint in tab.complaints)
        tab.complaints = [complaint for complaint in tab.complaints if word not in complaint]


@pytest.mark.parametrize("key", ["3", "Space", "Backspace"])
def test_a_reply_that_is_lost_is_not_taken_for_another_window(tmp_path, start, new_tab, key):
    asked = make_round(tmp_path, 4)
    tab = new_tab().open(start(tmp_path).url())
    before = tab.press("1")
    waiting = tab.query
    lose_a_reply(tab)
    tab.press(key)
    assert not tab.page.is_visible("#notice")
    last = {"3": (waiting, 2), "Space": (waiting, "mixed"), "Backspace": (before, None)}[key]
    assert journal(asked) == [(before, 0), last]
    assert tab.query == {"3": "r001-q000003", "Space": f"{waiting}.1", "Backspace": before}[key]
    forgive(tab, "net::ERR_FAILED", "409")


def test_a_refusal_is_told_where_people_sign_in(tmp_path, start, new_tab):
    make_round(tmp_path, 4)
    tab = new_tab()
    tab.page.goto(start(tmp_path, "--annotators", "anna,ben").url())
    tab.page.click("#people button:has-text('anna')")
    tab.page.wait_for_selector("body[data-query]")
    refusal = {"status": 401, "json": {"error": "Open the page anew."}}
    tab.page.route("**/api/round", lambda route: route.fulfill(**refusal), times=1)
    tab.page.click("#who")
    tab.page.wait_for_selector("#notice:visible")
    assert tab.text("#notice") == "Open the page anew."
    forgive(tab, "401")


def test_parts_that_the_review_leaves_open_are_asked_on_the_page(tmp_path, start, new_tab):
    make_round(tmp_path, 2)
    url = start(tmp_path).url()
    tab, review = new_tab().open(url), new_tab()
    for key in "12":
        tab.press(key)
    review.open(url.replace("/?", "/review?"))
    assert review.query == "r001-q000001"
    review.page.keyboard.press("Space")
    review.page.wait_for_selector("#items li:nth-child(6)")
    review.page.reload()
    review.page.wait_for_selector("body[data-query='r001-q000001.1']")
    assert review.page.locator("#items li").count() == 4
    tab.page.reload()
    for number in (1, 2, 3, 4):
        tab.page.wait_for_selector(f"body[data-query='r001-q000001.{number}']")
        tab.page.keyboard.press("1")
    tab.page.wait_for_selector("body[data-query='done']")
    assert tab.text("#done-title") == "All queries are answered"


def test_a_run_that_is_moved_is_reported_and_the_answer_kept(tmp_path, start, new_tab):
    run = tmp_path / "run"
    asked = make_round(run, 4)
    tab = new_tab().open(start(run).url())
    tab.press("1")
    run.rename(tmp_path / "elsewhere")
    tab.page.keyboard.press("2")
    tab.page.wait_for_selector("#notice:visible")
    assert "the run was moved, removed or unmounted" in tab.text("#notice")
    assert "Your answer is kept" in tab.text("#notice")
    assert not run.exists()
    (tmp_path / "elsewhere").rename(run)
    tab.page.wait_for_selector("body[data-query='r001-q000003']")
    assert not tab.page.is_visible("#notice")
    assert journal(asked) == [("r001-q000001", 0), ("r001-q000002", 1)]
    forgive(tab, "507")

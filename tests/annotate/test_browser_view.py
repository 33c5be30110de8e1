"""What the page says and shows of a query, and how the pointer moves the view."""

import pytest
from tests.annotate.test_browser_faults import forgive
from tests.helpers.asked import journal, make_round, settings_of

pytestmark = pytest.mark.browser

GREY_AT = """([across, down]) => {
  const canvas = document.getElementById("zoom");
  const ratio = canvas.width / canvas.clientWidth;
  const { data } = canvas.getContext("2d").getImageData(
    canvas.width / 2 + across * ratio, canvas.height / 2 + down * ratio, 1, 1);
  return data[3];
}"""

PIXELS = """() => {
  const canvas = document.getElementById("zoom");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.reduce((sum, value, at) => (sum * 31 + value * (at % 7 + 1)) % 1000003, 0);
}"""


@pytest.fixture
def new_tab(new_tab):
    """Open tabs whose canvases the tests may read as often as they like."""
    tabs = []

    def open_tab(*size):
        tabs.append(new_tab(*size))
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.complaints = [words for words in tab.complaints if "willReadFrequently" not in words]


def box_of_zoom(tab):
    box = tab.page.locator("#zoom").bounding_box()
    return box["x"], box["y"], box["width"], box["height"]


@pytest.mark.parametrize("corner", [(0, 0), (0, 399), (299, 0), (299, 399)])
def test_the_zoom_centres_on_a_query_at_the_border_and_is_blank_beyond(
    tmp_path, start, new_tab, corner
):
    make_round(tmp_path, sizes={"a": (300, 400)}, centres=[("a", *corner)])
    tab = new_tab().open(start(tmp_path).url())
    _, _, width, height = box_of_zoom(tab)
    down, across = (1 if place == 0 else -1 for place in corner)
    inside = [across * width / 4, down * height / 4]
    assert tab.page.evaluate(GREY_AT, inside) == 255
    for beyond in ([-inside[0], inside[1]], [inside[0], -inside[1]], [-inside[0], -inside[1]]):
        assert tab.page.evaluate(GREY_AT, beyond) == 0


def test_one_sentence_asks(tmp_path, start, new_tab):
    make_round(tmp_path, 3)
    tab = new_tab().open(start(tmp_path).url())
    assert (
        tab.text("#question") == "Which class fills the frame? If it holds several, answer Mixed."
    )
    tab.press("1")
    tab.press("Space")
    assert "part 1 of 4" in tab.text("#question")


def test_progress_counts_clicks_against_a_budget_in_clicks(tmp_path, start, new_tab):
    make_round(tmp_path, 4, settings={**settings_of(), "budget": "20 clicks"})
    tab = new_tab().open(start(tmp_path).url())
    counts = [tab.text("#count")]
    for key in ("1", "ArrowRight", "Space", "1", "Backspace"):
        tab.press(key)
        counts.append(tab.text("#count"))
    assert counts == [f"{spent} of 20 clicks" for spent in (0, 1, 1, 2, 3, 2)]


def test_brighter_shows_that_it_is_on_and_ends_with_the_image(tmp_path, start, new_tab):
    make_round(tmp_path, 4)
    tab = new_tab().open(start(tmp_path).url())
    before = tab.page.evaluate(PIXELS)
    tab.page.keyboard.press("ArrowDown")
    button = tab.page.locator("[aria-keyshortcuts=ArrowDown]")
    assert button.get_attribute("aria-pressed") == "true"
    assert button.inner_text().endswith("Brighter: 2×")
    assert tab.page.evaluate(PIXELS) != before
    tab.press("1")
    assert button.get_attribute("aria-pressed") == "false"
    assert button.inner_text().endswith("Brighter")


def test_an_unknown_key_is_acknowledged(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 3)
    tab = new_tab().open(start(tmp_path).url())
    for key in ("Shift", "Tab", "F2"):
        tab.page.keyboard.press(key)
    assert tab.text("#said") == ""
    tab.page.keyboard.press("z")
    assert tab.text("#said").startswith("The key z does nothing here")
    tab.press("1")
    assert tab.text("#said").endswith("is road")
    assert len(journal(asked)) == 1


@pytest.mark.parametrize("count", [3, 19])
def test_long_class_names_are_not_cut(tmp_path, start, new_tab, count):
    names = tuple(f"mitochondrion of a neighbouring cell, stage {n}" for n in range(count))
    make_round(tmp_path, 3, classes=names)
    tab = new_tab().open(start(tmp_path).url())
    cut = tab.page.evaluate(
        "() => [...document.querySelectorAll('.name')].filter((one) => one.checkVisibility()"
        " && (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight + 1)).length"
    )
    assert cut == 0


def test_wheel_drag_and_click_move_the_view_and_answer_nothing(tmp_path, start, new_tab):
    asked = make_round(tmp_path, sizes={"a": (300, 400)}, centres=[("a", 150, 200), ("a", 50, 60)])
    tab = new_tab().open(start(tmp_path).url())
    left, top, width, height = box_of_zoom(tab)
    middle = left + width / 2, top + height / 2
    mouse, seen = tab.page.mouse, [tab.page.evaluate(PIXELS)]

    def moved():
        tab.page.wait_for_function(f"before => ({PIXELS})() !== before", arg=seen[-1])
        seen.append(tab.page.evaluate(PIXELS))

    mouse.move(*middle)
    mouse.wheel(0, -100)
    moved()
    mouse.down()
    mouse.move(middle[0] + 60, middle[1] + 40, steps=3)
    mouse.up()
    moved()
    mouse.click(middle[0] - 50, middle[1] - 50)
    moved()
    tab.page.locator("#whole").click(position={"x": 40, "y": 150})
    moved()
    tab.page.locator("#whole").dblclick(position={"x": 40, "y": 150})
    moved()
    # One step in, with the query in the middle again.
    assert seen[-1] == seen[1]
    assert not (asked.folder / "answers/annotator-1.jsonl").exists()
    assert tab.press("2") == "r001-q000001"
    assert journal(asked) == [("r001-q000001", 1)]


def test_a_bad_token_gets_a_page_that_says_what_to_do(tmp_path, start, new_tab):
    make_round(tmp_path, 3)
    url = start(tmp_path).url()
    tab = new_tab()
    reply = tab.page.goto(url.partition("?")[0] + "?token=wrong")
    assert reply.status == 403
    assert reply.headers["content-type"].startswith("text/html")
    assert "terminal" in tab.text("main")
    assert "{" not in tab.text("main")
    forgive(tab, "403")


def test_a_server_that_stops_is_reported_and_the_answer_kept(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 3)
    tab = new_tab().open(start(tmp_path).url())
    refusal = {"status": 503, "json": {"error": "The server is stopping."}}
    tab.page.route("**/api/answer", lambda route: route.fulfill(**refusal), times=1)
    tab.page.keyboard.press("2")
    tab.page.wait_for_selector("#notice:visible")
    assert tab.text("#notice").startswith("The server is stopping. Your answer is kept")
    tab.page.wait_for_selector("body[data-query='r001-q000002']")
    assert journal(asked) == [("r001-q000001", 1)]
    forgive(tab, "503")


def test_parts_stand_below_their_window_in_the_review(tmp_path, start, new_tab):
    make_round(tmp_path, 3)
    url = start(tmp_path, "--annotators", "anna,ben", "--overlap", "1").url()
    for name, keys in (("anna", " 12341"), ("ben", " 12552")):
        tab = new_tab()
        tab.page.goto(url)
        tab.page.click(f"#people button:has-text('{name}')")
        tab.page.wait_for_selector("body[data-query]")
        tab.press("2")
        for key in keys:
            tab.press("Space" if key == " " else key)
    tab.open(url.replace("/?", "/review?"))
    tab.page.select_option("#show", "all")
    tab.page.wait_for_function("() => document.querySelectorAll('#items li').length === 7")
    shown = tab.page.locator("#items strong").all_inner_texts()
    two = "r001-q000002"
    assert shown == [two, *(f"{two}.{n}" for n in (1, 2, 3, 4)), "r001-q000003", "r001-q000001"]
    assert tab.page.locator("#items .part").count() == 4

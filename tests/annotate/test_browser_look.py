"""What the page looks like and how fast it is, in a real browser."""

import statistics

import pytest
from tests.helpers.asked import journal, make_round

pytestmark = pytest.mark.browser

CLASSES_19 = [
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train"),
    *("motorcycle", "bicycle"),
]

CUT_OFF = """() => {
  const shown = [...document.querySelectorAll("button, a, p, h1, h2, canvas, kbd, select, .name")]
    .filter((one) => one.checkVisibility() && !one.closest(".unseen") && !one.closest("#items"));
  return shown.filter((one) => {
    const box = one.getBoundingClientRect();
    return box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight
      || one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline";
  }).map((one) => one.outerHTML);
}"""

SCROLLS = """() => [...document.querySelectorAll("*")].filter((one) =>
  one.checkVisibility() && getComputedStyle(one).overflowY !== "hidden"
  && (one.scrollHeight > one.clientHeight + 1 && one.clientHeight > 0
      && /auto|scroll/.test(getComputedStyle(one).overflowY))
  || one === document.documentElement
  && (one.scrollHeight > innerHeight || one.scrollWidth > innerWidth))
  .map((one) => one.outerHTML)"""


@pytest.mark.parametrize("page", ["labelling", "part", "done", "sign-in", "review"])
@pytest.mark.parametrize("classes", [CLASSES_19, [f"class {n}" for n in range(35)]], ids=len)
@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1440, 900)])
def test_nothing_is_cut_off_and_nothing_scrolls(
    tmp_path, start, new_tab, page, classes, width, height
):
    make_round(tmp_path, 3, size=(100, 200), classes=tuple(classes))
    url = start(tmp_path, *(["--annotators", "2"] if page == "sign-in" else [])).url()
    tab = new_tab(width, height)
    if page == "sign-in":
        tab.page.goto(url)
        tab.page.wait_for_selector("#people button")
    else:
        tab.open(url)
        for key in {"part": ["1", "Space"], "done": "112", "review": "12"}.get(page, "1"):
            tab.press(key)
    if page == "review":
        tab.open(url.replace("/?", "/review?"))
    assert tab.page.evaluate(SCROLLS) == []
    assert tab.page.evaluate(CUT_OFF) == []
    if page in ("labelling", "part", "review"):
        assert tab.page.evaluate("document.getElementById('whole').clientHeight") > height / 4


def test_all_can_be_reached_and_seen_with_the_keyboard(tmp_path, start, new_tab):
    make_round(tmp_path, 3)
    tab = new_tab().open(start(tmp_path).url())
    tab.press("1")
    names, outlines = [], set()
    for key in ["Shift+Tab", *["Tab"] * 13]:
        tab.page.keyboard.press(key)
        name, outline = tab.page.evaluate(
            "() => [document.activeElement.ariaLabel ?? document.activeElement.innerText,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        names.append(name.split("\n")[-1])
        outlines.add(outline)
    zooms, classes = ["Zoom out", "Zoom in"], ["road", "building", "sky", "car", "tree"]
    others = ["Mixed", "Void", "Skip", "Undo", "Guess", "Brighter"]
    assert names == ["Review", *zooms, *classes, *others]
    assert outlines == {"solid"}
    tab.page.focus("#classes button:nth-child(3)")
    tab.press("Enter")
    assert tab.text("#said").endswith("is sky")
    # The next key press is an answer again, not one more press of that button.
    tab.press("0")
    assert tab.text("#said").endswith("is void")


def test_every_control_has_a_name_and_its_key(tmp_path, start, new_tab):
    make_round(tmp_path, 3)
    tab = new_tab().open(start(tmp_path).url())
    buttons = tab.page.locator(".answer")
    keys = [buttons.nth(n).get_attribute("aria-keyshortcuts") for n in range(buttons.count())]
    assert keys == [*"12345", "Space", "0", "ArrowRight", "Backspace", "ArrowUp", "ArrowDown"]
    assert "query marked at row 0, column 0" in tab.page.get_attribute("#whole", "aria-label")
    assert "2×2 pixels" in tab.page.get_attribute("#zoom", "aria-label")
    assert "2×2 pixels" in tab.page.text_content("#asks")


def test_the_mark_is_black_and_white_on_any_picture(tmp_path, start, new_tab):
    asked = make_round(tmp_path, 3, size=(100, 200))
    tab = new_tab().open(start(tmp_path).url())
    tab.press("1")
    query = asked.queries[1]
    grey = tab.page.evaluate(
        """([row, column]) => {
          const canvas = document.getElementById("whole");
          const scale = Math.min(canvas.width / 200, canvas.height / 100);
          const x = (canvas.width - 200 * scale) / 2 + (column + 0.5) * scale;
          const y = (canvas.height - 100 * scale) / 2 + (row + 0.5) * scale;
          const { data } = canvas.getContext("2d").getImageData(x - 30, y - 30, 60, 60);
          let [black, white] = [0, 0];
          for (let at = 0; at < data.length; at += 4) {
            const sum = data[at] + data[at + 1] + data[at + 2];
            black += sum < 15;
            white += sum > 750;
          }
          return [black, white];
        }""",
        [query.row, query.column],
    )
    assert min(grey) > 60


def test_the_time_to_the_next_query_is_told(tmp_path, start, new_tab, say):
    asked = make_round(tmp_path, 60, size=(1024, 2048), images=12)
    tab = new_tab(1440, 900).open(start(tmp_path).url())
    tab.page.evaluate(
        """() => {
          window.times = [];
          let pressed = 0;
          addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
          new MutationObserver(() => requestAnimationFrame(() => setTimeout(() =>
            window.times.push(performance.now() - pressed))))
            .observe(document.body, { attributeFilter: ["data-query"] });
        }"""
    )
    found = {}
    for words, pause in (("every 0.4 s", 400), ("without a pause", 0)):
        tab.page.evaluate("window.times.length = 0")
        for number in range(28):
            tab.press(str(number % 5 + 1))
            tab.page.wait_for_timeout(pause)
        tab.page.wait_for_function("window.times.length >= 28")
        found[words] = tab.page.evaluate("window.times")
    for words, times in found.items():
        say(
            f"key press to next query painted, 1024x2048, {words}: median "
            f"{statistics.median(times):.0f} ms, longest {max(times):.0f} ms"
        )
    # Quick as the keys were, each answered the query that was on the screen, and no other.
    assert [answer for _, answer in journal(asked)] == [number % 5 for number in range(28)] * 2
    assert [name for name, _ in journal(asked)] == [query.id for query in asked.queries[:56]]

"""The report in headless Chromium: nothing complains, nothing is fetched, all can be reached."""

import json

import pytest
from tests.helpers.evidence import write_evidence, write_whole_matrix
from tests.helpers.runs import write_run

from alseg.cli.main import main

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    runs = write_whole_matrix(folder / "runs")
    write_evidence(write_run(runs / "ripu-0.01-0", strategy="ripu", steps=700), 1)
    for number, run in enumerate(runs.iterdir()):
        made = {"weights": {"sha256": "0b" * 32}, "data": {"sha256": f"{number:02x}" * 32}}
        (run / "provenance.json").write_text(json.dumps({"starts": [made]}))
    assert main(["compare", str(runs), "-o", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture
def page(chromium, report):
    """The report in a tab without network; at the end nothing complained."""
    context = chromium.new_context(viewport={"width": 1100, "height": 800}, offline=True)
    page = context.new_page()
    complaints, fetched = [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert complaints == []
    assert [url for url in fetched if not url.startswith("data:")] == [report.as_uri()]
    context.close()


def test_all_is_drawn(page):
    assert page.title() == "19 runs compared"
    sizes = page.eval_on_selector_all(
        "figure > svg", "all => all.map(e => [e.clientWidth, e.clientHeight])"
    )
    assert len(sizes) >= 7
    assert all(width > 200 and height > 100 for width, height in sizes)
    loaded = page.eval_on_selector_all("img", "all => all.map(e => e.naturalWidth)")
    assert set(loaded) == {240}


def test_texts_of_a_chart_lie_within_it(page):
    outside = page.evaluate(
        """() => [...document.querySelectorAll('figure > svg')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter(text => {
                const at = text.getBoundingClientRect();
                return at.left < box.left - 1 || at.right > box.right + 1
                    || at.top < box.top - 1 || at.bottom > box.bottom + 1;
            }).map(text => text.textContent);
        })"""
    )
    assert outside == []


@pytest.mark.parametrize("width", [360, 768, 1200, 1600])
def test_the_page_never_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")


def test_every_link_and_table_is_reached_by_the_tab_key(page):
    wanted = page.locator("a, [tabindex='0']").count()
    reached = set()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => [...document.querySelectorAll(\"a, [tabindex='0']\")]"
                ".indexOf(document.activeElement)"
            )
        )
    assert reached == set(range(wanted))
    unnamed = "a:empty, [tabindex='0']:not([aria-label]), svg[role=img]:not([aria-label])"
    assert page.locator(unnamed).count() == 0
    assert page.locator("img:not([alt])").count() == 0


def test_a_link_leads_to_its_section(page):
    page.get_by_role("link", name="geometry").focus()
    page.keyboard.press("Enter")
    top = page.evaluate("document.getElementById('geometry').getBoundingClientRect().top")
    assert -1 <= top < 800


def test_on_paper_nothing_is_cut_off(page):
    # A4 with margins of 1 cm, in CSS pixels.
    page.set_viewport_size({"width": 718, "height": 1046})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert not page.locator("nav").is_visible()
    cut = page.evaluate(
        "() => [...document.querySelectorAll('table')].filter("
        "e => e.getBoundingClientRect().right > 719).length"
    )
    assert cut == 0

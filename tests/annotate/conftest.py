"""A small round, and tabs of a headless Chromium that note whatever a page should not do."""

import sys
from urllib.parse import urlsplit

import pytest
from tests.helpers import annotate_command
from tests.helpers.exchanged import write_small_round

start = annotate_command.start


class Tab:
    """A page in the browser, with keys pressed as a person does."""

    def __init__(self, page):
        self.page = page
        self.complaints, self.hosts = [], set()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        page.on("request", self._see)

    def _hear(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _see(self, request):
        if urlsplit(request.url).scheme not in ("data", "blob", "file"):
            self.hosts.add(urlsplit(request.url).hostname)

    @property
    def query(self):
        """The query on the screen; None before the first, ``done`` after the last."""
        return self.page.get_attribute("body", "data-query")

    def open(self, url):
        """Open an address and wait for a query."""
        self.page.goto(url)
        self.page.wait_for_selector("body[data-query]")
        return self

    def press(self, key):
        """Press a key and wait until another query is on the screen; return the one before."""
        before = self.query
        self.page.keyboard.press(key)
        self.page.wait_for_function("before => document.body.dataset.query !== before", arg=before)
        return before

    def text(self, selector):
        """The text of an element."""
        return self.page.inner_text(selector)


@pytest.fixture
def run(tmp_path):
    """The folder of a run, which need not be there."""
    return tmp_path / "run"


@pytest.fixture
def asked(run):
    """A round of five queries in two images."""
    return write_small_round(run)


@pytest.fixture
def say(capsys):
    """Tell something that was measured, also where nobody looks at the output of tests."""

    def say(words):
        with capsys.disabled():
            sys.stdout.write(f"\n{words}\n")

    return say


@pytest.fixture
def new_tab(chromium):
    """Open tabs of 1024×768; at the end nothing was fetched from elsewhere, nothing complained."""
    tabs, contexts = [], []

    def new_tab(width=1024, height=768):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}))
        contexts[-1].set_default_timeout(20_000)
        tabs.append(Tab(contexts[-1].new_page()))
        return tabs[-1]

    yield new_tab
    for context in contexts:
        context.close()
    assert {host for tab in tabs for host in tab.hosts} <= {"127.0.0.1"}
    assert [complaint for tab in tabs for complaint in tab.complaints] == []

"""A report, and what stands in it."""

import json
from html.parser import HTMLParser

from alseg.compare.comparison import compare_runs
from alseg.compare.evidence import Evidence
from alseg.compare.report.page import report_page
from alseg.compare.runs import find_runs

WRONG = "Share of the picks that the network had wrong before the round, in %"


class Page(HTMLParser):
    """The tables of a page by caption, its addresses, and whether every element is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.links, self.anchors = [], {}, [], set()
        self._caption = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.links += [known[name] for name in ("href", "src") if name in known]
        self.anchors.add(known.get("id"))
        if tag == "tr":
            self.rows.append([])
        if tag == "table":
            self.rows, self._caption = [], ""
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self.rows

    def handle_data(self, data):
        if "caption" in self.open:
            self._caption = data
        elif self.open and self.open[-1] in ("td", "th") and self.rows:
            self.rows[-1][-1] += data


def change_sums(run, number=1, **sums):
    """Change what a run told of a round; None takes it away."""
    path = run / f"analysis/round-{number:03d}.json"
    content = json.loads(path.read_text())
    content["sums"].update(sums)
    content["sums"] = {name: values for name, values in content["sums"].items() if values}
    path.write_text(json.dumps(content))


def page_of(folder, click_seconds=3.0):
    comparison = compare_runs(find_runs([folder]))
    text = report_page(comparison, Evidence(comparison), click_seconds)
    return text, Page(text)

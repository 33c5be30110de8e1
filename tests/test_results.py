"""The tables of the results are what `alseg compare` makes of the runs that are kept with them."""

import re
from pathlib import Path

import pytest

from alseg.cli.main import main

RESULTS = Path(__file__).parent.parent / "docs" / "results"
KEPT = sorted(path for path in (RESULTS / "runs").iterdir() if path.is_dir())


@pytest.mark.parametrize("runs", KEPT, ids=lambda path: path.name)
def test_the_committed_tables_are_made_from_the_kept_runs(runs, tmp_path, monkeypatch):
    # The folders of the runs are told as they were named.
    monkeypatch.chdir(RESULTS.parent.parent)
    kept = runs.relative_to(Path.cwd())
    assert main(["compare", str(kept), "-o", str(tmp_path / f"{runs.name}.html")]) == 0
    for name in (f"{runs.name}.md", f"{runs.name}.csv", f"{runs.name}-runs.csv"):
        committed, made = (folder / name for folder in (RESULTS, tmp_path))
        assert committed.read_text(encoding="utf-8") == made.read_text(encoding="utf-8")
    # The first table stands on the page of the results too.
    made = (tmp_path / f"{runs.name}.md").read_text(encoding="utf-8")
    page = (RESULTS.parent / "results.md").read_text(encoding="utf-8")
    assert re.search(r"^\|.*?\n\n", made, re.MULTILINE | re.DOTALL)[0] in page

"""The tables of the results are what `alseg compare` makes of the archives beside them."""

import re
import zipfile
from pathlib import Path

import pytest

from alseg.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"
KEPT = sorted((DOCS / "results").glob("*.zip"))
INCLUDED = re.compile(r'^--8<-- "results/(\w+)\.md:(\d+):(\d+)"$', re.MULTILINE)


def test_every_page_has_an_archive_and_all_are_small():
    assert {path.stem for path in KEPT} == {path.stem for path in (DOCS / "results").glob("*.md")}
    assert len(KEPT) >= 5
    assert sum(path.stat().st_size for path in KEPT) < 2_000_000


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_the_page_is_made_from_the_archive(kept, tmp_path):
    assert main(["compare", str(kept), "-o", str(tmp_path / f"{kept.stem}.html")]) == 0
    made = tmp_path / f"{kept.stem}.md"
    assert kept.with_suffix(".md").read_bytes() == made.read_bytes()


def test_the_results_include_the_first_table_of_each_page_and_nothing_else():
    included = INCLUDED.findall((DOCS / "results.md").read_text(encoding="utf-8"))
    assert sorted(name for name, _, _ in included) == [path.stem for path in KEPT]
    for name, first, last in included:
        lines = (DOCS / "results" / f"{name}.md").read_text(encoding="utf-8").splitlines()
        table, outside = lines[int(first) - 1 : int(last)], lines[: int(first) - 1]
        assert all(line.startswith("| ") for line in table)
        assert not any(line.startswith("|") for line in outside)
        assert lines[int(last)] == ""


@pytest.mark.parametrize(("name", "runs"), [("camvid", 59), ("camvid_dusk", 45)])
def test_a_sweep_takes_the_unpacked_runs_for_finished(name, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(DOCS / "results" / f"{name}.zip") as archive:
        archive.extractall()
    matrix = DOCS.parent / "experiments" / name / "matrix.yaml"
    assert main(["sweep", str(matrix), "--out", f"runs/{name}", "--dry-run"]) == 0
    assert capsys.readouterr().out.count(f"# finished: runs/{name}/") == runs

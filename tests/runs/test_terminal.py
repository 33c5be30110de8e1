"""Names from outside, on the terminal and in the cells of a spreadsheet."""

import csv
import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.asked import make_round, settings_of
from tqdm import tqdm

from alseg.annotate.exchange import export_queries, import_answers
from alseg.cli.main import main
from alseg.labels import LabelStore, PoolImage
from alseg.queries.asked import AskedImage, Query
from alseg.queries.asked_files import open_round, write_round
from alseg.runs.terminal import plain_output, shown
from alseg.storage.spreadsheet import from_cell, to_cell

EVIL = ["\x1b[2J\x1b[31mred", "a\rb", "a\bb", "\x9b31m", "\u202egnp", "\u2066x", "bell\x07", "\x7f"]
HARMLESS = "straße, 道路 [31m ' \" \\ %s é"


@given(st.text())
def test_nothing_is_shown_that_a_terminal_obeys(text):
    given_back = shown(text)
    assert all(c.isprintable() or c in "\n\t" for c in given_back)
    if all(c.isprintable() or c in "\n\t" for c in text):
        assert given_back == text


def test_what_is_harmless_stays_and_what_is_not_can_be_read():
    assert shown(HARMLESS) == HARMLESS
    assert shown("\x1b[31m\r\u202e\udc80") == r"\x1b[31m\r\u202e\udc80"


def commands(run, name):
    """Commands that print a name from outside, some on stdout and some on stderr."""
    store = LabelStore.create(run / "labels", [PoolImage("a", 4, 4)], ["road", "sky"])
    (store.folder / f"round-{name}").mkdir()
    return [
        ["labels", "verify", str(run)],
        ["import", str(run), str(run / name)],
        ["export", str(run / name), "--format", "coco", "-o", str(run / "out")],
        ["check-data", "--source", f"folder:{run / name}"],
        ["annotate", str(run), "--annotators", name],
        ["evaluate", str(run / name)],
        ["compare", str(run / name)],
        [name],
    ]


@pytest.mark.parametrize("name", EVIL)
def test_no_command_gives_a_name_from_outside_to_the_terminal(tmp_path, capfd, name):
    make_round(tmp_path / "run")
    for arguments in commands(tmp_path / "run", name):
        assert main(arguments) != 0
        captured = capfd.readouterr()
        said = captured.out + captured.err
        assert said
        assert all(c.isprintable() or c in "\n\t" for c in said), arguments


def test_a_name_that_is_no_utf_8_can_be_told(tmp_path, capfd):
    make_round(tmp_path / "run")
    name = os.fsdecode(b"\xff.json")
    assert main(["import", str(tmp_path / "run"), name]) == 2
    assert "\\udcff.json does not exist" in capfd.readouterr().err


def test_bars_of_progress_still_move(capsys):
    with plain_output():
        bar = tqdm(total=3, file=sys.stdout, desc="\x1b[31mbar", position=1, mininterval=0)
        bar.update(2)
        bar.close()
    out = capsys.readouterr().out
    assert "\r\\x1b[31mbar:  67%" in out
    assert "\x1b[A" in out
    assert "\x1b" not in out.replace("\x1b[A", "")


FORMULAS = ["=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", "'=1", "''@x", '=cmd|" /c calc"!a0']


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_computes_is_a_cell_that_it_does_not(text):
    assert to_cell(text) == f"'{text}"
    assert from_cell(f"'{text}") == text


@given(st.text(alphabet="'=+-@\t\ra1 ", max_size=5) | st.text())
def test_every_text_comes_back_from_its_cell(text):
    cell = to_cell(text)
    assert from_cell(cell) == text
    assert cell[:1] not in tuple("=+-@\t\r")


@pytest.mark.parametrize("number", [-1, -0.5, 3, 1e-30])
def test_numbers_stay_numbers(number):
    assert to_cell(number) is number


@pytest.mark.parametrize("name", [*FORMULAS[:4], *FORMULAS[6:]])
def test_the_tables_of_queries_hold_no_formula_and_read_the_name_as_it_was(tmp_path, name):
    make = make_round(tmp_path / "other", classes=("-road", "sky"), images=1, size=(9, 9))
    image = make.folder / make.images["city/a"].file
    asked = write_round(
        tmp_path / "run",
        1,
        classes=make.classes,
        colors=make.colors,
        split="drop",
        images=[AskedImage(name, 9, 9, str(image))],
        queries=[Query("r001-q000001", name, 4, 4, 3, 3, 6, 6, -0.5, 1)],
        settings=settings_of(),
    )
    assert open_round(tmp_path / "run", 1).queries[0].image == name
    folder = export_queries(tmp_path / "run", tmp_path / "out", "png").folder
    for table in (asked.folder / "queries.csv", folder / "queries.csv"):
        (row,) = csv.DictReader(io.StringIO(table.read_text()))
        assert row["image"] == f"'{name}"
        assert row["score"] == "-0.5"
    text = (folder / "queries.csv").read_text().rstrip("\n")
    (folder / "queries.csv").write_text(f"{text}'-road\n")
    assert import_answers(tmp_path / "run", folder / "queries.csv").new == {"-road": 1}

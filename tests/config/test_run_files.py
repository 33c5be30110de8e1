"""Every file and folder of a run is named once, in the module that declares it."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from alseg.annotate import shares
from alseg.config import run_files
from alseg.config.run_files import round_name, round_numbers
from alseg.labels import committed, store
from alseg.queries import answers, asked, asked_files
from alseg.storage import folder_lock

SRC = Path(run_files.__file__).parents[1]
SOURCES = [path for path in SRC.rglob("*.py") if SRC / "data" not in path.parents]
NAMES = {
    value
    for name, value in vars(run_files).items()
    if name.isupper() and not name.startswith("_") and value != run_files.LAST_CHECKPOINT
}
INNER = {
    *(committed.MANIFEST, committed.ARCHIVE, store.POOL),
    *(asked.MANIFEST, asked.ANSWERS, asked_files.TABLE, asked_files.IMAGES),
    *(answers.JOURNAL, shares.FILE, folder_lock.LOCK),
}
FILES = {name for name in NAMES | INNER if "." in name}
WORDS = (NAMES | INNER) - FILES - {run_files.ROUND}


def words_of(node):
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return set(re.split(r"[^\w.-]+", node.value)) if is_text else set()


def named_in(source):
    """Return the names of files in a module's strings, and of folders where paths are made."""
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = Counter()
    for node in ast.walk(tree):
        parts = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("Path", "PurePosixPath"):
            parts = node.args
        elif isinstance(node, ast.Constant) and id(node) not in documentation:
            found.update(FILES & words_of(node))
            found.update({run_files.ROUND} & {word[:6] for word in words_of(node)})
        for part in parts:
            found.update(WORDS & words_of(part))
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('PLACE = run / "labels"', ["labels"]),
        ('PLACE = Path("checkpoints", "last.ckpt")', ["checkpoints", "last.ckpt"]),
        ('"""Reads ``config.yaml``."""\nsettings = known["labels"]', []),
        ('text = f"remove {run}/summary.json and go on"', ["summary.json"]),
        ('rounds = folder.glob("round-*.json")', ["round-"]),
        ('path = folder / f"round-{number:03d}"', ["round-"]),
    ],
)
def test_names_are_found_where_they_are_written(source, found):
    assert sorted(named_in(source).elements()) == found


def test_the_names_are_those_that_users_know():
    known = {"config.yaml", "summary.json", "provenance.json", "last.ckpt", "best.ckpt"}
    assert known <= FILES
    assert {"labels", "queries", "checkpoints", "pictures", "analysis", "answers"} <= WORDS
    assert round_name(7) == "round-007"
    assert round_name(1234) == "round-1234"


def test_only_folders_called_as_rounds_are_rounds(tmp_path):
    for name in ("round-002", "round-001", "round-0003", "round-000", "round-4", "round-1234"):
        (tmp_path / name).mkdir()
    assert round_numbers(tmp_path) == [1, 2, 1234]
    assert round_numbers(tmp_path / "none") == []


def test_every_file_of_a_run_is_named_once():
    found = Counter()
    for path in SOURCES:
        found.update(named_in(path.read_text(encoding="utf-8")))
    assert {name: count for name, count in found.items() if count > 1 or name in WORDS} == {}
    assert FILES | {run_files.ROUND} == set(found)

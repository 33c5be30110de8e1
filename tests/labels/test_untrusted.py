"""A run folder that somebody sends: nothing outside of it is read or written by what it says."""

import contextlib
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.archives import digests
from tests.helpers.asked import make_round
from tests.helpers.exchanged import FORMATS, answer, name_of, write_small_round
from tests.helpers.stores import random_store

from alseg.active.people import People
from alseg.annotate.exchange import export_queries, import_answers
from alseg.annotate.rounds import open_newest
from alseg.cli.main import main
from alseg.errors import AlsegError, FolderLeadsOut, LabelStoreError
from alseg.labels import LabelStore, export_labels, verify
from alseg.labels.records import ImageRecord, PoolImage
from alseg.queries.answers import Entry, Journal, latest
from alseg.queries.answers_folder import lock_answers
from alseg.queries.asked_files import open_round
from alseg.storage.durable import replace_durably, write_synced
from alseg.storage.regular_files import digest
from alseg.storage.sealed_json import encode_json

NAMES = [
    "../x",
    "/x",
    "a/../../x",
    "x\0y",
    "x\\y",
    "C:x",
    "C:/x",
    "x/",
    "x//y",
    ".",
    "",
    "./x",
    "a/.",
]
NAMES += ["x\x1b[2Jy", "x\ny", "x\u202ey", "\\\\host\\share", 7, None, ["x"]]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "secret.txt").write_text("a private key")
    return tmp_path / "run"


@pytest.fixture
def asked(run):
    return write_small_round(run)


def rewrite(asked, change, table=None):
    """Change what a round says, sealed as alseg seals it: whoever makes a folder can do so."""
    path = asked.folder / "round.json"
    content = json.loads(path.read_text())
    content.pop("digest")
    change(content)
    if table is not None:
        (asked.folder / "queries.csv").write_text(table, encoding="utf-8")
        content["queries"] = digest((asked.folder / "queries.csv").read_bytes())
    path.write_bytes(encode_json(content))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_path_inside_is_refused_wherever_names_are_read(asked, name):
    with pytest.raises(LabelStoreError, match="cannot be a path inside"):
        PoolImage(name, 2, 2)
    with pytest.raises(LabelStoreError, match="cannot be a path inside"):
        ImageRecord(name, 1, 1, 0, 1, {})
    rewrite(asked, lambda content: content["images"][0].update(id=name))
    with pytest.raises(LabelStoreError, match=r"round\.json cannot be used"):
        open_round(asked.folder.parent.parent, 1)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_no_export_takes_a_file_that_is_no_image_asked_about(run, asked, format_name, known):
    """Also not one whose content the sender knows, and so its digest."""
    secret = run.parent / "secret.txt"
    entry = {"file": str(secret), "digest": digest(secret.read_bytes()) if known else "0" * 64}
    rewrite(asked, lambda content: content["images"][0].update(entry))
    with pytest.raises(LabelStoreError, match="image"):
        export_queries(run, run.parent / "out", format_name)
    assert sorted(path.name for path in run.parent.iterdir()) == ["run", "secret.txt"]
    with pytest.raises(LabelStoreError, match="image"):
        open_round(run, 1).pixels_of("city/a")


def test_an_image_is_taken_only_if_its_digest_fits(run, asked):
    other = make_round(run.parent / "other", size=(24, 32)).folder / "images/city/a.png"
    for known in ({"digest": ""}, {"digest": "0" * 64}, {}):
        rewrite(
            asked,
            lambda content, known=known: content["images"][0].update(file=str(other), **known),
        )
        with pytest.raises(LabelStoreError, match="has changed since|has no digest of the image"):
            export_queries(run, run.parent / "out", "coco")
        with pytest.raises(LabelStoreError, match="has changed since|has no digest of the image"):
            open_round(run, 1).pixels_of("city/a")


@pytest.mark.parametrize("place", ["../secret.txt", "images/../../../../secret.txt", "", 3, "a\0b"])
def test_a_file_that_leads_out_of_the_round_is_refused(run, asked, place):
    rewrite(asked, lambda content: content["images"][0].update(file=place))
    with pytest.raises(LabelStoreError, match=r"round\.json cannot be used"):
        open_round(run, 1)


@pytest.mark.parametrize("special", ["pipe", "folder", "/dev/zero"])
def test_an_image_that_never_ends_is_not_waited_for(run, asked, special):
    path = run.parent / special
    if special == "pipe":
        os.mkfifo(path)
    elif special == "folder":
        path.mkdir()
    rewrite(asked, lambda content: content["images"][0].update(file=str(path)))
    with pytest.raises(LabelStoreError, match="cannot be read"):
        open_round(run, 1).pixels_of("city/a")


LINKS = ("queries", "queries/round-001", "queries/round-001/images", "queries/round-001/answers")
LINKS += ("queries/round-001/answers/import.jsonl", "queries/round-001/answers/.lock", "labels")
LINKS += ("queries/round-001/images/b.1.png", "queries/round-001/round.json", "summary.json.part")


@pytest.mark.parametrize("place", LINKS)
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_that_leads_out_is_refused_before_anything_is_read_or_written(
    run, asked, place, dangling
):
    export = export_queries(run, run.parent / "out", "coco").folder
    file = answer(export, "coco", {name_of(1): "road"})
    path, outside = run / place, run.parent / "outside"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(outside)
    if dangling and outside.exists():
        shutil.rmtree(outside) if outside.is_dir() else outside.unlink()
    path.symlink_to(outside)
    before, there = digests(run.parent), outside.exists()
    for use in (
        lambda: import_answers(run, file),
        lambda: export_queries(run, run.parent / "later", "png"),
        lambda: open_newest(run),
    ):
        with pytest.raises(
            FolderLeadsOut, match="is a link to .* nothing is read or written by it"
        ):
            use()
    assert digests(run.parent) == before
    assert outside.exists() == there


def test_a_pipe_in_a_run_is_refused_and_links_of_wandb_are_its_own(run, asked):
    (run / "wandb").mkdir()
    (run / "wandb/latest-run").symlink_to("/nowhere")
    (run / "inside").symlink_to(run / "queries")
    assert open_newest(run).number == 1
    os.mkfifo(run / "config.yaml")
    with pytest.raises(FolderLeadsOut, match="a pipe or a device"):
        open_newest(run)


def test_a_link_at_the_place_of_a_draft_is_never_followed(run):
    run.mkdir()
    secret = run.parent / "secret.txt"
    for write, name in ((replace_durably, "summary.json.part"), (write_synced, "summary.json")):
        (run / name).symlink_to(secret)
        write(run / "summary.json", b"{}")
        assert secret.read_text() == "a private key"
        assert not (run / "summary.json").is_symlink()
        assert (run / "summary.json").read_bytes() == b"{}"
        (run / "summary.json").unlink()


def test_a_draft_that_a_killed_process_left_is_no_obstacle(run):
    run.mkdir()
    (run / "a.json.part").write_text("half of")
    replace_durably(run / "a.json", b"all of it")
    assert [path.name for path in run.iterdir()] == ["a.json"]


WRONG = {
    "round": [2, "1", None],
    "classes": [
        [],
        ["road", "road", "car"],
        ["road", 3, "car"],
        "abc",
        [""] * 3,
        None,
        ["x"] * 300,
    ],
    "colors": [
        [],
        [[0, 0, 0]],
        [[0, 0, 256]] * 3,
        [[0, 0, -1]] * 3,
        [["a", 0, 0]] * 3,
        [[1, 2]] * 3,
    ],
    "split": ["halves", None, 3, ["drop"]],
    "settings": [None, [1], 3],
    "queries": ["0" * 64, None, 7],
    "images": [None, 3, [], [{}], [3]],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in WRONG for value in WRONG[key]])
def test_what_no_round_says_is_refused_in_a_sentence(run, asked, key, value):
    rewrite(asked, lambda content: content.update({key: value}))
    with pytest.raises(LabelStoreError, match="cannot be used"):
        open_round(run, 1)


@pytest.mark.parametrize(
    "size", [(0, 5), (-3, 5), (10**400, 1), (2**20, 2**20), (True, 5), ("9", 9)]
)
def test_a_size_that_no_image_has_is_refused(run, asked, size):
    rewrite(asked, lambda content: content["images"][0].update(height=size[0], width=size[1]))
    with pytest.raises(LabelStoreError, match="cannot be used"):
        open_round(run, 1)


HEADER = "query,image,row,column,top,left,bottom,right,score,guess\n"


@pytest.mark.parametrize(
    "line",
    [
        "r001-q000001,city/a,3,4,2,3,5,99,0.5,1",
        "r001-q000001,city/a,3,4,-2,3,5,6,0.5,1",
        "r001-q000001,city/a,9,4,2,3,5,6,0.5,1",
        "r001-q000001,city/a,3,4,2,3,5,6,nan,1",
        "r001-q000001,city/a,3,4,2,3,5,6,0.5,-1",
        "r001-q000001,city/b,3,4,2,3,5,6,0.5,1",
        "r002-q000001,city/a,3,4,2,3,5,6,0.5,1",
        "../../x,city/a,3,4,2,3,5,6,0.5,1",
        "r001-q000001,city/a,3,4,2,3,5,6",
        f"r001-q000001,city/a,{'9' * 5000},4,2,3,5,6,0.5,1",
        f"r001-q000001,{'x' * 200_000},3,4,2,3,5,6,0.5,1",
        "r001-q000001,city/a,3,4,2,3,5,6,0.5,1\n" * 2,
        "",
    ],
)
def test_a_query_that_no_round_asks_is_refused_in_a_sentence(run, asked, line):
    rewrite(asked, lambda content: None, table=f"{HEADER}{line}\n")
    with pytest.raises(LabelStoreError, match="cannot be used"):
        open_round(run, 1)


def test_json_that_is_nested_without_end_or_holds_no_numbers_is_refused(run, asked, capsys):
    path = asked.folder / "round.json"
    for text in (
        "[" * 100_000,
        '{"format": NaN}',
        '{"format": 1e999, "a": ' + "9" * 10_000 + "}",
        "",
    ):
        path.write_text(text)
        with pytest.raises(LabelStoreError, match="cannot be used"):
            open_round(run, 1)
    assert main(["export", str(run), "--format", "coco", "-o", str(run.parent / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"query": "r001-q000001", "answer": 0, "seconds": NaN, "time": 0}',
        '{"query": "r001-q000001", "answer": 0, "seconds": 0, "time": 1e300}',
        '{"query": "r001-q000001", "answer": 0, "seconds": 0, "time": Infinity}',
        '{"query": "r001-q000001", "answer": 0, "seconds": 0, "time": 1' + "0" * 400 + "}",
        '{"query": "r001-q000001", "answer": [], "seconds": 0, "time": 0}',
        '{"query": "r001-q000001", "answer": 9, "seconds": 0, "time": 0}',
        '{"query": "../../x", "answer": 0, "seconds": 0, "time": 0}',
        '["query"]',
        "\x80",
    ],
)
def test_an_answer_that_nobody_gives_is_refused_in_a_sentence(asked, line):
    Journal(asked, "anna").append([Entry(name_of(1), 0)])
    with (asked.folder / "answers/anna.jsonl").open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    with pytest.raises(LabelStoreError, match=r"anna\.jsonl"):
        latest(asked)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def replace_somewhere(content, data):
    """Put any value in the place of one of those in some JSON."""
    node = content
    for _ in range(data.draw(st.integers(1, 4))):
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        parent, key = node, data.draw(st.sampled_from(keys))
        node = node[key]
        if not isinstance(node, dict | list) or not node:
            break
    parent[key] = data.draw(values)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_a_round_says_it_is_used_or_refused_in_a_sentence(tmp_path_factory, data):
    home = tmp_path_factory.mktemp("said")
    asked = write_small_round(home / "run")

    rewrite(asked, lambda content: replace_somewhere(content, data))
    before = digests(home)
    with contextlib.suppress(AlsegError):
        with lock_answers(open_newest(home / "run")):
            pass
        export_queries(home / "run", home / "out", data.draw(st.sampled_from(FORMATS)))
        People(home / "run", partial=True).read(1)
    now = digests(home)
    assert {name: now[name] for name in before} == before
    assert all(name.startswith("out/") for name in now.keys() - before.keys())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("store") / "labels", rounds=2)[0]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_a_label_store_says_it_is_used_or_refused_in_a_sentence(
    tmp_path_factory, store, data
):
    home = tmp_path_factory.mktemp("said")
    shutil.copytree(store.folder, home / "labels")
    path = data.draw(st.sampled_from(sorted((home / "labels").rglob("*.json"))))
    content = json.loads(path.read_text())
    content.pop("digest")
    replace_somewhere(content, data)
    path.write_bytes(encode_json(content))
    before = digests(home)
    for use in (verify, lambda folder: export_labels(LabelStore.open(folder), home / "out")):
        with contextlib.suppress(AlsegError):
            use(home / "labels")
    now = digests(home)
    assert {name: now[name] for name in before} == before
    assert all(name.startswith("out/") for name in now.keys() - before.keys())


@pytest.mark.parametrize("name", ["nowhere", "../../x"])
def test_a_manifest_that_lists_another_image_is_refused_by_the_export(tmp_path, store, name):
    shutil.copytree(store.folder, tmp_path / "labels")
    path = tmp_path / "labels/round-001/manifest.json"
    content = json.loads(path.read_text())
    content.pop("digest")
    content["images"][0]["id"] = name
    path.write_bytes(encode_json(content))
    with pytest.raises(LabelStoreError):
        export_labels(LabelStore.open(tmp_path / "labels"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels"]

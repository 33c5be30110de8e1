"""Files that are damaged, of another kind or made to do harm: one error, and nothing is written."""

import contextlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.archives import digests
from tests.helpers.exchanged import FORMATS, answer, name_of, write_small_round

from alseg.annotate.exchange import export_queries, import_answers
from alseg.cli.main import main
from alseg.errors import AlsegError, ExchangeError

BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE annotations [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<annotations><image name="city/a" width="32" height="24">&d;</image></annotations>"""
OTHER_FILE = """<?xml version="1.0"?><!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<annotations><image name="&x;"/></annotations>"""
SHAPE = '<annotations><image name="city/a"><{}/></image></annotations>'


@pytest.fixture
def run(tmp_path):
    write_small_round(tmp_path / "run")
    return tmp_path / "run"


def refused(run, file, words, format_name=None):
    before = digests(run)
    with pytest.raises(ExchangeError, match=words):
        import_answers(run, file, format_name)
    assert digests(run) == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", BILLION_LAUGHS, "it has a document type, which CVAT never writes"),
        ("a.xml", OTHER_FILE, "it has a document type, which CVAT never writes"),
        ("a.xml", "<annotations><image name='city/a'>", "it is no XML, or was cut short"),
        ("a.xml", "<annotation/>", "first element is <annotations>, this one's <annotation>"),
        ("a.xml", "<?xml version='1.0' encoding='ebcdic-9'?><annotations/>", "it is no XML"),
        ("a.xml", "<annotations>&lol;</annotations>", "it is no XML"),
        ("a.xml", "<annotations><track id='0'/></annotations>", "tracks are of a video"),
        ("a.xml", SHAPE.format("polygon label='road'"), "a polygon is no answer"),
        ("a.xml", SHAPE.format("box label='road' xtl='1'"), "ytl is 'missing', no number"),
        ("a.xml", SHAPE.format("box label='road' xtl='one'"), "xtl is 'one', no number"),
        ("a.json", '{"annotations": [', "it is no JSON, or was cut short"),
        ("a.json", "[" * 100_000, "it is nested too deep"),
        ("a.json", '{"a":' * 100_000, "it is nested too deep"),
        ("a.json", '{"a": ' + "9" * 10_000 + "}", "cannot be used"),
        ("a.json", '{"shapes": []}', "COCO has a list 'images', which is missing here"),
        ("a.json", '{"images": {}, "annotations": [], "categories": []}', "a list 'images'"),
        ("a.json", '{"images": [3], "annotations": [], "categories": []}', "image 1 is a number"),
        ("a.json", '{"images": [], "annotations": [{}], "categories": []}', "'category_id'"),
        ("a.json", "[1, 2]", "task 1 is a number, an object was expected"),
        ("a.json", '[{"data": "x"}]', "'data', is 'x', an object was expected"),
        ("a.json", '[{"id": 1, "image": "a", "label": []}]', "JSON-MIN is not"),
        ("a.json", '[{"data": {}, "annotations": {"a": 1}}]', "a list was expected"),
        ("a.csv", "image,label\n1,2\n", "one 'query' and one 'answer' are needed"),
        ("a.csv", "query,answer\nr001-q000001\n", "line 2: 1 values for 2 columns"),
        ("a.csv", f"query,answer\nr{'9' * 5000}-q000001,road\n", "has no query 'r999"),
        ("a.csv", "query,answer\n,road\n", "line 2: the column 'query' is empty"),
        ("a.csv", "query,answer\nr001-q000001,1\n", "no class is called '1'"),
        ("a.csv", 'query,answer\n"r001-q000001,' + "x" * 200_000, "Save the table as CSV again"),
        ("a.txt", "road car sky", "begins like none of the formats"),
        ("a.txt", " \n\n", "is empty"),
        ("a.txt", "", "is empty"),
    ],
)
def test_a_file_that_is_damaged_or_of_another_kind_is_refused(run, name, content, words):
    file = run.parent / name
    file.write_text(content, encoding="utf-8")
    refused(run, file, words)


@pytest.mark.parametrize(
    ("format_name", "content", "words"),
    [
        ("cvat", b"\xff\xfe\x00\x01 nonsense", "it is no XML"),
        ("cvat", b"\x00" * 1000, "it is no XML"),
        ("coco", b'{"images": "\xe4\xf6"}', "byte 12 is not UTF-8"),
        ("label-studio", "[1]".encode("utf-16") + b"\x00", "not UTF-8|no JSON"),
        (None, b"PK\x03\x04 and then nothing", "the archive is damaged"),
    ],
)
def test_wrong_encodings_and_archives_are_refused(run, format_name, content, words):
    file = run.parent / "file"
    file.write_bytes(content)
    refused(run, file, words, format_name)


def test_a_table_that_is_not_utf_8_is_told_so(run):
    file = run.parent / "a.csv"
    file.write_bytes("query,answer\nr001-q000001,straße\n".encode("latin-1"))
    refused(run, file, "is not UTF-8. Save it as CSV in UTF-8")


@pytest.mark.parametrize("format_name", ["cvat", "coco", "label-studio"])
def test_every_file_that_is_cut_short_is_refused(run, format_name):
    exported = export_queries(run, run.parent / "out", format_name)
    data = answer(exported.folder, format_name, {name_of(1): "road"}).read_bytes().rstrip()
    file = run.parent / "cut"
    for length in [*range(1, len(data), 97), len(data) - 1]:
        file.write_bytes(data[:length])
        refused(run, file, "cannot be used|is empty")


@pytest.mark.parametrize("format_name", [None, "cvat", "coco", "label-studio"])
def test_a_hundred_megabytes_of_nonsense_are_not_read(run, format_name):
    file = run.parent / "big.json"
    with file.open("wb") as out:
        out.write(b'{"images": [')
        os.truncate(file, 100_000_000)
    refused(run, file, "has more than .* MB", format_name)


def test_a_name_that_no_file_can_have_is_refused(run):
    refused(run, run.parent / ("x" * 5000), "cannot be read: File name too long")


def test_an_archive_that_unpacks_to_very_much_is_not_unpacked(run):
    file = run.parent / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b"[" + b" " * 100_000_000 + b"]")
    assert file.stat().st_size < 200_000
    refused(run, file, "has more than .* MB")


def test_an_archive_of_other_things_is_refused_with_what_is_in_it(run):
    file = run.parent / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one.xml", "")
        archive.writestr("two.json", "")
    refused(run, file, "one XML or JSON file is expected in it, found one.xml, two.json")


def test_a_folder_without_masks_and_a_folder_for_a_file_are_refused(run):
    (run.parent / "empty").mkdir()
    refused(run, run.parent / "empty", "holds neither queries.csv nor PNGs of masks")
    refused(run, run.parent / "empty", "Is a directory", "cvat")


@pytest.mark.parametrize("format_name", ["cvat", "coco", "label-studio"])
def test_a_folder_of_another_format_is_answered_with_its_file(run, format_name):
    folder = export_queries(run, run.parent / "out", format_name).folder
    refused(run, folder, r"but .*\.(xml|json)\. Name the file that the tool exported")


@pytest.mark.parametrize(
    ("name", "picture", "words"),
    [
        ("city/a", np.zeros((24, 33), np.uint8), "is 33x24 pixels .* the image 32x24"),
        ("city/a", np.zeros((24, 32, 3), np.uint8), "is of mode RGB; a mask has 8 bits"),
        ("city/a", np.zeros((24, 32), np.uint16), "is of mode I;16"),
        ("city/a", np.full((24, 32), 3, np.uint8), "holds the value 3, which is no class"),
        ("city/b", np.zeros((24, 32), np.uint8), "called 'city/b'. Did you mean 'city/a'"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(run, name, picture, words):
    folder = export_queries(run, run.parent / "out", "png").folder
    Image.fromarray(picture).save(folder / f"masks/{name}.png")
    refused(run, folder, words)


def test_a_mask_that_is_cut_short_is_no_class_0(run):
    folder = export_queries(run, run.parent / "out", "png").folder
    path = folder / "masks/city/a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 3, (24, 32), np.uint8)).save(path)
    data = path.read_bytes()
    # The last 20 bytes are the check sums and the end; no pixel is in them.
    for length in range(0, len(data) - 20, 7):
        path.write_bytes(data[:length])
        refused(run, folder, "is no PNG that can be read")


def test_the_command_says_it_in_one_line(run, capsys):
    file = run.parent / "a.xml"
    file.write_text(BILLION_LAUGHS)
    assert main(["import", str(run), str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"alseg import: {file} cannot be used: it has a document type")


def mutations():
    """Draw places and bytes to change in a file."""
    return st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), max_size=4)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """An export of each format with an answer in it, and the bytes of its file."""
    home = tmp_path_factory.mktemp("exports")
    found = {}
    for name in FORMATS:
        write_small_round(home / name)
        folder = export_queries(home / name, home / f"{name}-out", name).folder
        file = answer(folder, name, {name_of(1): "road"})
        found[name] = (file / "queries.csv" if file.is_dir() else file).read_bytes()
    return found


def import_is_whole(tmp_path_factory, data, suffix, format_name=None):
    """Import bytes; an error must be for the user and leave the folder as it was."""
    home = Path(tmp_path_factory.mktemp("fuzz"))
    write_small_round(home / "run")
    file = home / f"file{suffix}"
    file.write_bytes(data)
    before = digests(home)
    written = 0
    with contextlib.suppress(AlsegError):
        written = sum(import_answers(home / "run", file, format_name).new.values())
    assert (digests(home) == before) == (written == 0)


fuzz = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzz
@given(st.binary(max_size=300), st.sampled_from([None, *FORMATS]), st.sampled_from(["", ".csv"]))
@example(b"PK\x03\x04", None, "")
@example(b"[" * 5000, None, "")
def test_any_bytes_are_imported_in_full_or_refused(tmp_path_factory, data, format_name, suffix):
    import_is_whole(tmp_path_factory, data, suffix, format_name)


@fuzz
@given(st.sampled_from(FORMATS), mutations(), st.integers(0, 40))
def test_a_changed_file_is_imported_in_full_or_refused(
    tmp_path_factory, exports, name, changes, removed
):
    data = bytearray(exports[name])
    for place, patch in changes:
        place %= len(data)
        data[place : place + removed] = patch
    import_is_whole(tmp_path_factory, bytes(data), ".csv" if name == "png" else "")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@fuzz
@given(st.data(), st.sampled_from(["coco", "label-studio"]))
def test_json_of_any_shape_is_imported_in_full_or_refused(tmp_path_factory, exports, data, name):
    content = json.loads(exports[name])
    node, key = content, None
    for _ in range(data.draw(st.integers(1, 8))):
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        parent, key = node, data.draw(st.sampled_from(keys))
        node = node[key]
        if not isinstance(node, dict | list) or not node:
            break
    parent[key] = data.draw(values)
    import_is_whole(tmp_path_factory, json.dumps(content).encode(), "")

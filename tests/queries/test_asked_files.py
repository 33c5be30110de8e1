import json

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.helpers.asked import CLASSES, COLORS, make_round, random_image, settings_of

from alseg.errors import LabelStoreError
from alseg.queries.asked import AskedImage, Query
from alseg.queries.asked_files import asked_rounds, open_round, write_round
from alseg.storage.sealed_json import decode_json, encode_json


def test_a_round_is_read_as_it_was_written(tmp_path):
    query = Query("r002-q000001", "street/ü, 7", 3, 4, 2, 3, 5, 6, 0.1 + 0.2, 1)
    written = write_round(
        tmp_path,
        2,
        classes=CLASSES,
        colors=COLORS,
        split="pixels",
        images=[AskedImage("street/ü, 7", 8, 9, "/pictures/7.png")],
        queries=[query],
        settings=settings_of(2),
    )
    read = open_round(tmp_path, 2)
    assert read == written
    assert (read.number, read.classes, read.colors, read.split) == (2, CLASSES, COLORS, "pixels")
    assert read.queries == (query,)
    assert read.images["street/ü, 7"].file == "/pictures/7.png"
    assert asked_rounds(tmp_path) == [2]


def test_images_that_are_no_files_are_kept_with_the_round(tmp_path):
    asked = make_round(tmp_path, size=(12, 17), images=2)
    assert (asked.folder / "images/city/b.png").is_file()
    assert np.array_equal(asked.pixels_of("city/b"), random_image(12, 17, seed=1))


def test_a_round_is_never_written_twice(tmp_path):
    asked = make_round(tmp_path)
    before = (asked.folder / "round.json").read_bytes()
    with pytest.raises(LabelStoreError, match="round 1 are there already"):
        make_round(tmp_path, count=3)
    assert (asked.folder / "round.json").read_bytes() == before


def test_a_round_that_was_left_half_written_is_no_round(tmp_path):
    draft = tmp_path / "queries/.staging-queries"
    draft.mkdir(parents=True)
    (draft / "queries.csv").write_text("half")
    assert asked_rounds(tmp_path) == []
    assert len(make_round(tmp_path).queries) == 6


def test_a_changed_list_of_queries_is_noticed(tmp_path):
    path = make_round(tmp_path).folder / "queries.csv"
    path.write_text(path.read_text().replace("q000003", "q000013"))
    with pytest.raises(LabelStoreError, match=r"queries\.csv cannot be used.*Restore it"):
        open_round(tmp_path, 1)


def test_a_changed_manifest_is_noticed(tmp_path):
    path = make_round(tmp_path).folder / "round.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "split": "drop"}))
    with pytest.raises(LabelStoreError, match=r"round\.json cannot be used"):
        open_round(tmp_path, 1)


@pytest.mark.parametrize(
    "key", ["round", "classes", "colors", "split", "images", "settings", "queries"]
)
def test_a_manifest_that_lacks_something_is_named(tmp_path, key):
    path = make_round(tmp_path).folder / "round.json"
    content = decode_json(path.read_bytes())
    del content[key]
    path.write_bytes(encode_json(content))
    with pytest.raises(LabelStoreError, match=rf"round\.json cannot be used: it has no '{key}'"):
        open_round(tmp_path, 1)


@pytest.mark.parametrize(
    ("key", "value"), [("images", [{"id": "a"}]), ("colors", [[1, 2]]), ("classes", None)]
)
def test_a_manifest_that_holds_something_else_is_named(tmp_path, key, value):
    path = make_round(tmp_path).folder / "round.json"
    path.write_bytes(encode_json({**decode_json(path.read_bytes()), key: value}))
    with pytest.raises(LabelStoreError, match=r"round\.json cannot be used: .* Restore it"):
        open_round(tmp_path, 1)


def test_every_folder_that_a_round_brings_is_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        "alseg.storage.whole_folder.sync_folder", lambda folder: synced.append(folder)
    )
    folder = make_round(tmp_path).folder
    # After the round has its name, the names above it; the run's has the folder of all rounds.
    assert synced[-2:] == [folder.parent, tmp_path]


def test_another_image_of_the_same_size_is_refused(tmp_path):
    asked = make_round(tmp_path)
    path = asked.folder / asked.images["city/a"].file
    assert asked.pixels_of("city/a").shape[2] == 3
    with Image.open(path) as image:
        other = ImageOps.invert(image.convert("RGB"))
    other.save(path)
    with pytest.raises(LabelStoreError, match=r"city/a\.png has changed since its queries"):
        asked.pixels_of("city/a")

import json
import multiprocessing
import os
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.archives import files_in, read_bytes, write_bytes

from alseg.errors import LabelStoreError
from alseg.labels.queries import Queries
from alseg.labels.records import PoolImage
from alseg.labels.region_shape import write_region
from alseg.labels.regions.windows import Windows
from alseg.labels.store import LabelStore
from alseg.storage.sealed_json import decode_json, encode_json

POOL = [PoolImage("a/1", 4, 6), PoolImage("a/2", 4, 6), PoolImage("b", 5, 3)]
CLASSES = ["road", "sky"]


def queries(*entries):
    """Queries of radius 1 from (row, column, score, asked, void)."""
    rows, columns, scores, asked, void = zip(*entries, strict=True) if entries else [()] * 5
    return Queries(
        Windows(1),
        np.array(rows, dtype=np.int64),
        np.array(columns, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        np.array(asked, dtype=np.int64),
        np.array(void, dtype=np.int64),
    )


def write(store, number, image_id, value):
    """Ask for row number-1 of an image and answer with one class."""
    label, rounds = store.label(image_id, number - 1), store.round_map(image_id, number - 1)
    label[number - 1], rounds[number - 1] = value, number
    width, void = label.shape[1], label.shape[1] if value == 255 else 0
    entry = queries((number - 1, 2, 0.1 + number, width, void))
    return store.write(number, image_id, entry, label, rounds)


def commit_round(store, number, answers):
    store.stage(number)
    records = [write(store, number, image_id, value) for image_id, value in answers.items()]
    settings = {"strategy": "random", "round": number, "region": write_region(Windows(1))}
    store.commit(number, settings, records)


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def store(tmp_path):
    return LabelStore.create(tmp_path / "labels", POOL, CLASSES)


@pytest.fixture
def two_rounds(store):
    commit_round(store, 1, {"a/1": 1, "b": 255})
    commit_round(store, 2, {"a/1": 0, "a/2": 1})
    return store


def test_an_empty_store_knows_its_pool_and_no_label(store):
    again = LabelStore.open(store.folder)
    assert again.images == tuple(POOL)
    assert again.classes == tuple(CLASSES)
    assert again.rounds == again.asked_pixels == again.regions == again.void_pixels == 0
    assert (again.label("b") == 255).all()
    assert not again.asked("b").any()
    assert again.areas.tolist() == [24, 24, 15]


def test_a_label_is_that_of_the_newest_round_that_holds_the_image(two_rounds):
    store = LabelStore.open(two_rounds.folder)
    assert store.rounds == 2
    assert store.label("a/1")[:3].tolist() == [[1] * 6, [0] * 6, [255] * 6]
    assert store.label("a/1", 1)[:2].tolist() == [[1] * 6, [255] * 6]
    assert store.round_map("a/1")[:3].tolist() == [[1] * 6, [2] * 6, [0] * 6]
    assert (store.label("a/1", 0) == 255).all()
    assert not store.asked("a/2", 1).any()
    assert (store.label("b") == 255).all()
    assert store.asked("b").sum() == 3


def test_totals_come_from_the_manifests(two_rounds):
    for archive in two_rounds.folder.rglob("*.zip"):
        archive.unlink()
    store = LabelStore.open(two_rounds.folder)
    assert store.asked_pixels == 6 + 3 + 6 + 6
    assert store.void_pixels == 3
    assert store.regions == 4
    assert store.labelled_fraction == pytest.approx(21 / 63)
    assert store.spent("pixels").tolist() == [12, 6, 3]
    assert store.spent("regions", 1).tolist() == [1, 0, 1]
    assert [record.id for record in store.records(2)] == ["a/1", "a/2"]
    assert store.settings(2)["strategy"] == "random"
    assert store.region(2) == Windows(1, 2)


def test_a_round_without_a_region_is_a_round(store):
    commit_round(store, 1, {})
    assert store.rounds == 1
    assert store.records(1) == []
    assert (store.label("a/1") == 255).all()


def test_files_are_readable_by_a_person(two_rounds, tmp_path):
    folder = two_rounds.folder / "round-001"
    shutil.unpack_archive(folder / "images.zip", tmp_path / "unpacked")
    assert Image.open(tmp_path / "unpacked/labels/a/1.png").mode == "L"
    table = (tmp_path / "unpacked/queries/a/1.csv").read_text().splitlines()
    assert table == ["row,column,radius,score,asked,void", "0,2,1,1.1,6,0"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["totals"] == {"regions": 2, "asked": 9, "void": 3, "clicks": 2}


@pytest.mark.parametrize("images", [1, 40])
def test_the_number_of_files_does_not_depend_on_that_of_the_images(tmp_path, images):
    pool = [PoolImage(f"{index:03d}", 4, 6) for index in range(images)]
    store = LabelStore.create(tmp_path / "labels", pool, CLASSES)
    for number in (1, 2):
        commit_round(store, number, {image.id: 1 for image in pool})
    names = sorted(path.name for path in store.folder.rglob("*") if path.is_file())
    assert names == ["images.zip"] * 2 + ["manifest.json"] * 2 + ["pool.json"]


def test_the_same_round_is_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    for name, now in (("one", 1.7e9), ("two", 1.9e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        store = LabelStore.create(tmp_path / name, POOL, CLASSES)
        commit_round(store, 1, {"b": 1, "a/1": 0} if name == "one" else {"a/1": 0, "b": 1})
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")


def test_a_store_is_read_in_processes_that_are_forked(two_rounds):
    two_rounds.label("a/1")
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        labels = pool.map(two_rounds.label, ["a/1", "a/2"] * 20)
    assert all((label[0] == 1).all() for label in labels[::2])
    assert all((label[1] == 1).all() for label in labels[1::2])


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 2, st.floats(allow_nan=False), *[st.just(1)] * 2)))
def test_queries_survive_their_csv(entries):
    table = queries(*entries)
    again = Queries.from_csv(table.to_csv(), Windows(1))
    for name in ("rows", "columns", "scores", "asked", "void"):
        assert np.array_equal(getattr(again, name), getattr(table, name))
    if entries:
        with pytest.raises(ValueError, match="another radius than 2"):
            Queries.from_csv(table.to_csv(), Windows(2))


def test_a_store_sees_what_another_process_commits(store):
    other = LabelStore.open(store.folder)
    assert other.rounds == 0
    commit_round(store, 1, {"a/1": 1})
    assert other.rounds == 1
    assert (other.label("a/1")[0] == 1).all()
    assert other.asked_pixels == 6


def test_a_pickled_store_is_small_and_reads_from_any_folder(two_rounds, tmp_path, monkeypatch):
    monkeypatch.chdir(two_rounds.folder.parent)
    data = pickle.dumps(LabelStore.open(Path(two_rounds.folder.name)))
    monkeypatch.chdir(tmp_path.parent)
    assert len(data) < 500
    assert (pickle.loads(data).label("a/1", 1)[0] == 1).all()


def test_a_killed_round_leaves_the_committed_ones_and_is_thrown_away(two_rounds):
    before = snapshot(two_rounds.folder)
    two_rounds.stage(3)
    write(two_rounds, 3, "a/2", 1)
    partial = two_rounds.folder / ".staging-003/labels/b.png"
    partial.write_bytes(b"\x89PNG\r\n")
    fresh = LabelStore.open(two_rounds.folder)
    assert fresh.rounds == 2
    assert not fresh.asked("a/2", 2)[2].any()
    fresh.stage(3)
    assert snapshot(two_rounds.folder) == before
    fresh.commit(3, {}, [write(fresh, 3, "b", 0)])
    assert fresh.rounds == 3
    assert not list(fresh.folder.glob(".staging*"))
    assert {name: fresh.folder.joinpath(name).read_bytes() for name in before} == before


def test_what_a_killed_run_still_writes_does_not_get_into_the_next_attempt(two_rounds):
    killed = LabelStore.open(two_rounds.folder)
    killed.attempt = "one"
    killed.stage(3)
    two_rounds.attempt = "two"
    two_rounds.stage(3)
    with pytest.raises(LabelStoreError, match=r"no folder .*staging-003-one"):
        write(killed, 3, "b", 1)
    two_rounds.commit(3, {}, [])
    assert read_bytes(two_rounds.folder / "round-003/manifest.json")
    assert files_in(two_rounds.folder / "round-003/images.zip") == {}


def test_unfinished_rounds_are_tidied_away_and_nothing_else(two_rounds, monkeypatch):
    before = snapshot(two_rounds.folder)
    two_rounds.tidy()
    two_rounds.stage(3)
    write(two_rounds, 3, "a/2", 1)
    staging = two_rounds.folder / ".staging-003"
    assert two_rounds.unfinished == [staging]

    def fail(path):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        with pytest.raises(LabelStoreError, match=r"staging-003: Read-only file system"):
            two_rounds.tidy()
    assert staging.is_dir()
    two_rounds.tidy()
    assert not staging.exists()
    assert two_rounds.unfinished == []
    assert snapshot(two_rounds.folder) == before


def crash_at(step, monkeypatch):
    """Make the given durable step, counted from 0, fail as a killed process would."""
    left = [step]

    def counted(function):
        def run(*args, **kwargs):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return function(*args, **kwargs)

        return run

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    monkeypatch.setattr(Path, "mkdir", counted(Path.mkdir))


def test_a_process_killed_at_any_step_loses_at_most_the_round_in_progress(tmp_path, monkeypatch):
    expected = LabelStore.create(tmp_path / "whole", POOL, CLASSES)
    commit_round(expected, 1, {"a/1": 1, "b": 255})
    after_one = snapshot(expected.folder)
    commit_round(expected, 2, {"a/1": 0, "a/2": 1})
    after_two = snapshot(expected.folder)

    killed, step = 0, 0
    while killed == step:
        folder = tmp_path / f"killed-{step}"
        shutil.copytree(expected.folder, folder)
        shutil.rmtree(folder / "round-002")
        with monkeypatch.context() as patch:
            crash_at(step, patch)
            try:
                commit_round(LabelStore.open(folder), 2, {"a/1": 0, "a/2": 1})
            except KeyboardInterrupt:
                killed += 1
        store = LabelStore.open(folder)
        visible = {n: d for n, d in snapshot(folder).items() if not n.startswith(".staging")}
        assert visible == (after_one if store.rounds == 1 else after_two)
        if store.rounds == 1:
            commit_round(store, 2, {"a/1": 0, "a/2": 1})
        assert snapshot(folder) == after_two
        step += 1
    assert killed >= 10


def test_a_rename_that_fails_leaves_nothing_visible(store, monkeypatch):
    store.stage(1)
    records = [write(store, 1, "a/1", 1)]

    def fail(self, target):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(LabelStoreError, match="Read-only file system"):
            store.commit(1, {}, records)
    assert store.rounds == 0
    commit_round(store, 1, {"a/1": 1})
    assert store.rounds == 1


def test_a_full_disk_is_one_clear_error(store, monkeypatch):
    store.stage(1)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    record = write(store, 1, "a/1", 1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabelStoreError, match=r"images\.zip: No space left on device"):
        store.commit(1, {}, [record])
    assert store.rounds == 0
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: full(0))
    with pytest.raises(LabelStoreError, match=r"labels/b\.png: No space left on device"):
        write(store, 1, "b", 1)


def test_rounds_are_committed_in_order_and_once(two_rounds):
    for number in (1, 2, 4):
        with pytest.raises(LabelStoreError, match="the next is 3"):
            two_rounds.stage(number)
        with pytest.raises(LabelStoreError, match="the next is 3"):
            two_rounds.commit(number, {}, [])


def test_a_round_is_committed_only_with_all_its_files(store):
    store.stage(1)
    records = [write(store, 1, "a/1", 1), write(store, 1, "b", 1)]
    staging = store.folder / ".staging-001"
    with pytest.raises(LabelStoreError, match=r"b\.\w+ is not accounted for; 3 files"):
        store.commit(1, {}, records[:1])
    (staging / "rounds/b.png").unlink()
    with pytest.raises(LabelStoreError, match=r"rounds/b\.png is missing; 1 files"):
        store.commit(1, {}, records)
    shutil.rmtree(staging)
    with pytest.raises(LabelStoreError, match=r"no folder .*staging-001"):
        store.commit(1, {}, records)
    assert store.rounds == 0


def test_a_round_that_is_not_staged_cannot_be_written(store):
    with pytest.raises(LabelStoreError, match=r"no folder .*staging-001"):
        write(store, 1, "a/1", 1)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"expected uint8 \(4, 6\)"),
        (np.zeros((4, 6), np.int64), "is int64"),
        (np.full((4, 6), 2, np.uint8), "class number 2; allowed are 0 to 1"),
    ],
)
def test_answers_that_do_not_fit_are_refused(store, label, message):
    store.stage(1)
    with pytest.raises(LabelStoreError, match=message):
        store.write(1, "a/1", queries(), label, np.zeros((4, 6), np.uint8))


@pytest.mark.parametrize("kind", ["labels/a/1.png", "rounds/a/1.png", "queries/a/1.csv"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_file_is_named_with_the_remedy(two_rounds, kind, damage):
    path = two_rounds.folder / "round-002/images.zip" / kind
    data = read_bytes(path)
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    changed = {"truncated": data[:middle], "flipped": flipped, "empty": b"", "missing": None}
    write_bytes(path, changed[damage])
    read = {
        "labels/a/1.png": lambda: two_rounds.label("a/1"),
        "rounds/a/1.png": lambda: two_rounds.round_map("a/1"),
        "queries/a/1.csv": lambda: two_rounds.queries("a/1", 2),
    }[kind]
    with pytest.raises(LabelStoreError, match="cannot be used") as error:
        read()
    assert str(path) in str(error.value)
    assert "Restore it from a copy. If there is none, remove" in str(error.value)
    assert (two_rounds.label("a/1", 1)[0] == 1).all()


@pytest.mark.parametrize("kind", ["labels/a/1.png", "rounds/a/1.png", "queries/a/1.csv"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_files_are_checked_without_decoding_them(two_rounds, kind, number, damage, monkeypatch):
    monkeypatch.setattr("alseg.labels.files.Image.open", None)
    two_rounds.check_files()
    path = two_rounds.folder / f"round-00{number}/images.zip" / kind
    data = read_bytes(path)
    flipped = bytes([data[0] ^ 1]) + data[1:]
    changed = {"truncated": data[:-1], "flipped": flipped, "missing": None}
    write_bytes(path, changed[damage])
    with pytest.raises(LabelStoreError, match="cannot be used") as error:
        LabelStore.open(two_rounds.folder).check_files()
    assert str(error.value).startswith(f"{path} cannot be used")
    assert str(error.value).count(str(path)) == 1
    assert "Restore it from a copy" in str(error.value)


def test_files_are_checked_with_the_manifests(two_rounds):
    path = two_rounds.folder / "round-001" / "manifest.json"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LabelStoreError, match=r"round-001/manifest\.json cannot be used"):
        LabelStore.open(two_rounds.folder).check_files()


@settings(max_examples=40)
@given(data=st.data())
def test_any_changed_byte_of_a_manifest_that_matters_is_noticed(tmp_path_factory, data):
    store = LabelStore.create(tmp_path_factory.mktemp("store"), POOL, CLASSES)
    commit_round(store, 1, {"a/1": 1})
    path = store.folder / "round-001/manifest.json"
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        same = LabelStore.open(store.folder).records(1) == store.records(1)
    except LabelStoreError as error:
        same = str(path) in str(error)
    assert same


@pytest.mark.parametrize(("name", "version"), [("round-001/manifest.json", 3), ("pool.json", 1)])
def test_a_truncated_or_newer_json_file_is_named(two_rounds, name, version):
    path = two_rounds.folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LabelStoreError, match=f"{name} cannot be used"):
        LabelStore.open(two_rounds.folder).label("b")
    content = decode_json(whole)
    path.write_bytes(encode_json({**content, "format": 9}))
    words = f"has format 9; this version of alseg reads format {version}"
    with pytest.raises(LabelStoreError, match=words):
        LabelStore.open(two_rounds.folder).label("b")


def test_a_missing_round_is_noticed(two_rounds):
    shutil.rmtree(two_rounds.folder / "round-001")
    with pytest.raises(LabelStoreError, match="round-001 is missing although round-002"):
        _ = two_rounds.rounds


def test_a_store_is_created_once(two_rounds, tmp_path):
    with pytest.raises(LabelStoreError, match="holds a label store already"):
        LabelStore.create(two_rounds.folder, POOL, CLASSES)
    with pytest.raises(LabelStoreError, match="There is no label store"):
        LabelStore.open(tmp_path / "elsewhere")
    assert LabelStore.exists(two_rounds.folder)
    assert not LabelStore.exists(tmp_path / "elsewhere")


def test_rounds_without_the_list_of_images_are_refused_and_left_alone(two_rounds):
    (two_rounds.folder / "pool.json").unlink()
    before = snapshot(two_rounds.folder)
    words = r"pool\.json is missing although round-001 is there.*[Rr]estore it from a copy"
    assert LabelStore.exists(two_rounds.folder)
    with pytest.raises(LabelStoreError, match=words):
        LabelStore.open(two_rounds.folder)
    with pytest.raises(LabelStoreError, match=words):
        LabelStore.create(two_rounds.folder, POOL, CLASSES)
    assert snapshot(two_rounds.folder) == before


def test_a_creation_that_was_killed_can_be_repeated(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        crash_at(1, patch)
        with pytest.raises(KeyboardInterrupt):
            LabelStore.create(tmp_path, POOL, CLASSES)
    assert list(tmp_path.iterdir()) == [tmp_path / "pool.json.part"]
    assert not LabelStore.exists(tmp_path)
    assert LabelStore.create(tmp_path, POOL, CLASSES).rounds == 0


@pytest.mark.parametrize(
    ("images", "classes", "message"),
    [
        (POOL, ["road", "car"], "has the classes road, sky; this run has road, car"),
        (POOL[:2], CLASSES, "lacks the image b"),
        ([*POOL, PoolImage("c", 1, 1)], CLASSES, "has the image c that"),
        ([PoolImage("a/1", 4, 7), *POOL[1:]], CLASSES, "now it is 4x7"),
        (POOL[::-1], CLASSES, "another order"),
    ],
)
def test_another_pool_is_refused(store, images, classes, message):
    store.check_pool(POOL, CLASSES)
    with pytest.raises(LabelStoreError, match=message):
        store.check_pool(images, classes)


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "a//b", "", "a\\b", "C:/a", "a\nb"])
def test_a_name_that_leaves_the_folder_is_refused(name):
    with pytest.raises(LabelStoreError, match="cannot be a path inside"):
        PoolImage(name, 4, 4)


def test_two_images_of_one_name_are_refused(tmp_path):
    with pytest.raises(LabelStoreError, match="same name"):
        LabelStore.create(tmp_path, [POOL[0], POOL[0]], CLASSES)


def test_an_unknown_image_is_named(store):
    with pytest.raises(LabelStoreError, match="no image 'x'"):
        store.label("x")


def test_a_round_that_another_process_commits_is_waited_for(store):
    other = LabelStore.open(store.folder)
    write_later = threading.Timer(0.3, commit_round, (other, 1, {"b": 1}))
    write_later.start()
    store.wait_for(1, seconds=30)
    write_later.join()
    assert store.rounds == 1


def test_a_round_that_never_appears_is_said_to_be_elsewhere(store):
    with pytest.raises(LabelStoreError, match=r"round-001 was committed .* all hosts share"):
        store.wait_for(1, seconds=0.2)

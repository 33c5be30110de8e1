import io
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.archives import digests, read_bytes, split, write_bytes
from tests.helpers.stores import RADIUS, SIZES, edit_manifest, path_of, random_store, replace_file

from alseg.errors import LabelStoreError
from alseg.labels import LabelStore, verify


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("run") / "labels")


@pytest.fixture
def folder(original, tmp_path):
    """A copy of the store to damage."""
    return shutil.copytree(original[0].folder, tmp_path / "labels")


def read_map(path):
    return np.array(Image.open(io.BytesIO(read_bytes(path))))


def png(values):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()


def test_a_sound_store_has_no_problem_and_is_counted(original):
    store, annotator, results = original
    before = digests(store.folder)
    done = []
    found = verify(store.folder, progress=lambda *now: done.append(now))
    assert found.problems == []
    assert found.damaged_from is None
    assert (found.rounds, found.images) == (3, 3)
    assert found.regions == sum(result.regions for result in results)
    assert found.pixels == sum(int(asked.sum()) for _, asked in annotator.asked)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert digests(store.folder) == before


def test_the_store_of_these_tests_has_what_is_hard(original):
    store = original[0]
    tables = [store.queries(name, n) for name in SIZES for n in (1, 2, 3)]
    tables = [table for table in tables if table is not None]
    assert any((table.asked < (2 * RADIUS + 1) ** 2).any() for table in tables)
    assert any((table.rows < RADIUS).any() for table in tables)
    assert all(table.void.any() for table in tables)
    assert {record.id for record in store.records(3)} == {"city/a", "city/b", "c"}


def test_a_store_without_a_round_is_sound(tmp_path, original):
    store = LabelStore.create(tmp_path, original[0].images, original[0].classes)
    assert verify(store.folder).problems == []
    assert verify(store.folder).rounds == 0


def test_a_round_in_progress_is_no_problem(folder):
    LabelStore.open(folder).stage(4)
    (folder / ".staging-004" / "half.png").write_bytes(b"\x89PNG")
    found = verify(folder)
    assert found.problems == []
    assert found.unfinished == [folder / ".staging-004"]


@pytest.mark.parametrize("kind", ["labels", "rounds", "queries"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_file_is_the_one_problem(folder, kind, number, damage):
    path = path_of(folder, number, kind, "city/a")
    data = read_bytes(path)
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    changed = {"truncated": data[:middle], "flipped": flipped, "empty": b"", "missing": None}
    write_bytes(path, changed[damage])
    found = verify(folder)
    reason = "the archive lacks it" if damage == "missing" else "its content is not what"
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{path}: {reason}")
    assert found.damaged_from == number


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_of_any_file_of_a_round_is_found(folder, data):
    files = sorted(path for path in folder.glob("round-*/**/*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        assert any(str(path) in problem for problem in verify(folder).problems)
    finally:
        path.write_bytes(whole)


def test_a_file_too_many_is_found(folder):
    extra = folder / "round-002" / "z.png"
    extra.write_bytes(b"")
    found = verify(folder)
    assert found.problems == [f"{extra}: is no file of a round; take it out of the store"]
    assert found.damaged_from is None


def test_a_file_too_many_in_an_archive_is_found(folder):
    extra = path_of(folder, 2, "labels", "city/z")
    write_bytes(extra, b"")
    found = verify(folder)
    assert found.problems == [f"{extra}: is not in the manifest"]
    assert found.damaged_from == 2


def test_an_archive_that_is_cut_off_is_one_problem(folder):
    archive, _ = split(path_of(folder, 2, "labels", "c"))
    archive.write_bytes(archive.read_bytes()[:-30])
    found = verify(folder)
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{archive}: the archive is damaged")
    assert found.damaged_from == 2


def test_an_archive_that_is_a_pipe_is_not_read(folder):
    archive, _ = split(path_of(folder, 2, "labels", "c"))
    archive.unlink()
    os.mkfifo(archive)
    assert verify(folder).problems == [f"{archive}: it is not an ordinary file"]


def test_what_only_differs_outside_of_the_files_is_found(folder):
    archive, _ = split(path_of(folder, 2, "labels", "c"))
    with zipfile.ZipFile(archive, "a") as opened:
        opened.comment = b"touched"
    assert verify(folder).problems == [f"{archive}: its content is not what was written"]


def test_a_missing_round_is_found_and_the_later_ones_are_checked_by_themselves(folder):
    shutil.rmtree(folder / "round-002")
    path = path_of(folder, 3, "rounds", "c")
    write_bytes(path, None)
    found = verify(folder)
    assert found.problems == [
        f"{folder / 'round-002'}: is missing although later rounds are there",
        f"{path}: the archive lacks it",
    ]
    assert (found.rounds, found.damaged_from) == (2, 2)


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_manifest_is_named(folder, damage):
    path = folder / "round-002" / "manifest.json"
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        changed = data.replace(b'"seed": 0', b'"seed": 8')
        assert changed != data
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else changed)
    problems = verify(folder).problems
    assert len(problems) == 1
    assert problems[0].startswith(f"{path} cannot be used")


def test_a_manifest_of_a_newer_version_is_not_called_damaged(folder):
    edit_manifest(folder, 2, lambda manifest: manifest.update(format=9))
    found = verify(folder)
    assert len(found.problems) == 1
    assert f"{folder}/round-002/manifest.json has format 9" in found.problems[0]
    assert "Use the version of alseg that wrote it" in found.problems[0]
    assert found.damaged_from is None


def change_record(name, step):
    return lambda manifest: manifest["images"][0].update({name: manifest["images"][0][name] + step})


def change_total(name):
    return lambda manifest: manifest["totals"].update({name: manifest["totals"][name] + 1})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (change_record("regions", 1), "regions of city/a is"),
        (change_record("asked", -1), "asked of city/a is"),
        (change_record("void", 1), "void of city/a is"),
        (change_total("regions"), "the total of regions is"),
        (change_total("asked"), "the total of asked is"),
        (change_total("void"), "the total of void is"),
        (lambda manifest: manifest.update(round=1), "is that of round 1"),
        (lambda manifest: manifest["images"].append(manifest["images"][0]), "an image twice"),
        (lambda manifest: manifest["images"][0].update(id="z"), "the image z, which the pool"),
        (lambda manifest: manifest.pop("totals"), "is not the manifest of a round"),
        (lambda manifest: manifest["images"][0].pop("void"), "is not the manifest of a round"),
        (lambda manifest: manifest["images"][0]["digests"].pop("labels"), "is not the manifest"),
    ],
)
def test_a_manifest_that_was_sealed_again_is_betrayed_by_its_content(folder, edit, words):
    edit_manifest(folder, 2, edit)
    found = verify(folder)
    path = folder / "round-002" / "manifest.json"
    assert any(problem.startswith(f"{path}: ") and words in problem for problem in found.problems)
    assert found.damaged_from == 2


def test_counts_that_are_wrong_in_file_and_manifest_alike_are_found(folder):
    edit_manifest(folder, 1, change_record("asked", 5))
    edit_manifest(
        folder, 1, lambda manifest: manifest["totals"].update(asked=manifest["totals"]["asked"] + 5)
    )
    asked = json.loads((folder / "round-001/manifest.json").read_text())["images"][0]["asked"]
    (problem,) = verify(folder).problems
    assert f"asked of city/a is {asked}; its files have {asked - 5}" in problem


def first_pixel(mask):
    row, column = np.argwhere(mask)[0]
    return int(row), int(column)


def tamper(folder, number, kind, change, image_id="city/a"):
    """Change a map of a round and seal it again; return its path."""
    path = path_of(folder, number, kind, image_id)
    values = read_map(path)
    rounds = read_map(path_of(folder, number, "rounds", image_id))
    change(values, rounds)
    return replace_file(folder, number, kind, image_id, png(values))


def other_label_of_round_1(label, rounds):
    pixel = first_pixel((rounds == 1) & (label != 255))
    label[pixel] = (label[pixel] + 1) % 3


def forgotten_label_of_round_1(label, rounds):
    label[first_pixel((rounds == 1) & (label != 255))] = 255


def label_that_nobody_asked_for(label, rounds):
    label[first_pixel(rounds == 0)] = 1


def class_that_is_none(label, rounds):
    label[first_pixel((rounds == 3) & (label != 255))] = 3


def void_more(label, rounds):
    label[first_pixel((rounds == 3) & (label != 255))] = 255


def asked_again(values, rounds):
    values[first_pixel(rounds == 1)] = 3


def of_another_round(values, rounds):
    values[first_pixel(rounds == 1)] = 2


def of_a_later_round(values, rounds):
    values[first_pixel(rounds == 0)] = 4


def forgotten(values, rounds):
    values[first_pixel(rounds == 3)] = 0


def outside_of_all_regions(values, rounds):
    values[first_pixel(rounds == 0)] = 3


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("labels", other_label_of_round_1, "1 pixels have another label than in"),
        ("labels", forgotten_label_of_round_1, "1 pixels have another label than in"),
        ("labels", label_that_nobody_asked_for, "1 pixels have a class, but nobody asked"),
        ("labels", class_that_is_none, "has the class number 3; allowed are 0 to 2"),
        ("rounds", asked_again, "1 pixels are asked for that an earlier round asked for"),
        ("rounds", of_another_round, "1 pixels are of another round than in"),
        ("rounds", of_a_later_round, "has pixels of round 4"),
        ("rounds", forgotten, "1 pixels of the regions are not asked for"),
        ("rounds", outside_of_all_regions, "1 pixels of round 3 lie in no region"),
    ],
)
def test_a_map_that_was_sealed_again_is_betrayed_by_the_others(folder, kind, change, words):
    path = tamper(folder, 3, kind, change)
    found = verify(folder)
    assert any(problem.startswith(f"{path}: {words}") for problem in found.problems)
    assert found.damaged_from == 3


def test_a_void_pixel_too_many_is_found_in_the_queries_and_in_the_manifest(folder):
    tamper(folder, 3, "labels", void_more)
    queries, manifest = verify(folder).problems
    assert queries.startswith(f"{path_of(folder, 3, 'queries', 'city/a')}: line ")
    assert "pixels void" in queries
    assert manifest.startswith(f"{folder / 'round-003/manifest.json'}: void of city/a is")


def test_a_label_that_was_changed_in_an_earlier_round_is_found_in_the_later_one(folder):
    path = tamper(folder, 1, "labels", lambda label, rounds: other_label_of_round_1(label, rounds))
    (problem,) = verify(folder).problems
    later = path_of(folder, 2, "labels", "city/a")
    assert problem == f"{later}: 1 pixels have another label than in {path}"


def edit_line(change):
    def edit(lines):
        cells = lines[1].split(",")
        change(cells)
        lines[1] = ",".join(cells)

    return edit


def swap_counts(cells):
    cells[4] = str(int(cells[4]) + 1)


def more_void(cells):
    cells[5] = str(int(cells[5]) + 1)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (edit_line(swap_counts), "line 2 says"),
        (edit_line(more_void), "line 2 says"),
        (edit_line(lambda cells: cells.__setitem__(0, "30")), "a region lies outside"),
        (edit_line(lambda cells: cells.__setitem__(1, "-1")), "a region lies outside"),
        (
            edit_line(lambda cells: cells.__setitem__(2, "3")),
            "another radius than 2",
        ),
        (edit_line(lambda cells: cells.__setitem__(0, "9" * 30)), ""),
        (lambda lines: lines.append(lines[-1]), "1 regions are asked for that were asked for"),
        (lambda lines: lines.pop(), "pixels of round 2 lie in no region"),
        (lambda lines: lines.clear(), ""),
        (lambda lines: lines.__setitem__(0, "row,column"), "the columns are"),
    ],
)
def test_queries_that_were_sealed_again_are_betrayed_by_the_maps(folder, edit, words):
    path = path_of(folder, 2, "queries", "city/a")
    lines = read_bytes(path).decode().splitlines()
    edit(lines)
    replace_file(folder, 2, "queries", "city/a", ("\n".join(lines) + "\n").encode())
    found = verify(folder)
    image = ("queries/city/a.csv", "rounds/city/a.png")
    assert any(
        problem.startswith(tuple(f"{folder / 'round-002/images.zip' / name}: " for name in image))
        and words in problem
        for problem in found.problems
    )
    assert found.damaged_from == 2


def test_a_region_of_an_earlier_round_is_not_asked_for_again(folder):
    earlier = read_bytes(path_of(folder, 1, "queries", "city/a")).decode().splitlines()[1]
    path = path_of(folder, 2, "queries", "city/a")
    repeated = read_bytes(path).decode() + earlier.rpartition(",")[0].rpartition(",")[0] + ",0,0\n"
    replace_file(folder, 2, "queries", "city/a", repeated.encode())
    assert any(
        problem == f"{path}: 1 regions are asked for that were asked for before"
        for problem in verify(folder).problems
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(np.zeros((30, 41), np.uint8)), "it is (30, 41), the image (30, 40)"),
        (png(np.zeros((30, 40, 3), np.uint8)), "PNG of mode RGB, expected 8-bit greyscale"),
        (b"GIF89a", "it is not a PNG that can be read"),
        (png(np.zeros((30, 40), np.uint8))[:50], "it is not a PNG that can be read"),
    ],
)
def test_a_file_that_is_no_map_of_the_image_is_found(folder, data, words):
    path = replace_file(folder, 2, "rounds", "city/a", data)
    assert verify(folder).problems == [f"{path}: {words}"]


def test_pixels_that_are_left_out_are_found(folder):
    path = tamper(folder, 3, "rounds", forgotten, image_id="c")
    assert any(problem.startswith(f"{path}: 1 pixels of") for problem in verify(folder).problems)


def test_where_there_is_no_store_nothing_is_verified(tmp_path, folder):
    with pytest.raises(LabelStoreError, match="There is no label store"):
        verify(tmp_path)
    pool = folder / "pool.json"
    pool.write_bytes(pool.read_bytes()[:-20])
    with pytest.raises(LabelStoreError, match=r"pool\.json cannot be used"):
        verify(folder)


def test_a_copy_of_a_round_beside_the_rounds_is_no_round(folder):
    copies = [folder / "round-000", folder / "round-0003"]
    for copy in copies:
        shutil.copytree(folder / "round-003", copy)
    assert LabelStore.open(folder).rounds == 3
    expected = [
        f"{folder / n}: is no round; take it out of the store" for n in ("round-000", "round-0003")
    ]
    assert verify(folder).problems == expected

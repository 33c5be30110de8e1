"""A run whose queries people answer, from the first round to the last."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.helpers.archives import digests
from tests.helpers.processes import alseg, run_ranks
from tests.helpers.toys import TINY

from alseg.active import People
from alseg.cli.main import main
from alseg.data import open_dataset
from alseg.labels import LabelStore
from alseg.queries.answers import Entry, Journal
from alseg.queries.asked_files import asked_rounds, open_round
from alseg.storage.folder_lock import lock_folder

SETTINGS = ["--strategy", "ripu", "--steps", "4", "--rounds", "2", "--pictures", "0"]
PIXELS = [*SETTINGS, "--radius", "0", "--exclusion-radius", "4", "--budget", "4 regions"]
WINDOWS = [*SETTINGS, "--budget", "2 regions"]


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def fit(*arguments):
    return main(["fit", *map(str, arguments)])


def truth():
    pool = open_dataset("scenes:dusk", "train", size=[48, 64], count=5)
    return {image_id: pool.label(index) for index, image_id in enumerate(pool.ids)}


def answer(run, choose, person="anna"):
    """Answer the newest round; a query for which nothing is chosen stays as it is."""
    asked = open_round(run, asked_rounds(run)[-1])
    chosen = [(query.id, choose(query)) for query in asked.queries]
    Journal(asked, person).append(
        Entry(name, said, seconds=2.5) for name, said in chosen if said is not None
    )
    return asked


def label_files(run):
    return {name: data for name, data in digests(run / "labels").items() if name.endswith(".zip")}


def test_people_who_know_the_truth_give_the_labels_that_the_oracle_gives(
    settings, tmp_path, capsys
):
    labels = truth()

    def know(query):
        value = int(labels[query.image][query.row, query.column])
        return "void" if value == 255 else value

    by_oracle, by_people = tmp_path / "oracle", tmp_path / "people"
    assert fit("-c", settings, "--out", by_oracle, *PIXELS) == 0
    assert fit("-c", settings, "--out", by_people, *PIXELS, "--annotator", "manual") == 0
    for number in (1, 2):
        said = capsys.readouterr().out
        assert f"Queries of round {number}: 10, in 5 images." in said
        assert f"alseg annotate {by_people}" in said
        assert f"alseg fit --resume {by_people}" in said
        assert asked_rounds(by_people)[-1] == number
        answer(by_people, know)
        assert fit("--resume", by_people) == 0
    assert label_files(by_people) == label_files(by_oracle)
    said = capsys.readouterr().out
    assert "answered by people: 20 clicks charged; 20 answers on the page in 0.8 minutes" in said
    assert "(2.5 s per click)" in said


def test_two_processes_ask_what_one_asks(settings, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    more = ["--annotator", "manual", "--warm-start-steps", "0", *WINDOWS]
    assert fit("-c", settings, "--out", one, *more) == 0
    command = ["fit", "-c", settings, "--out", two, *more, "--devices", 2]
    run_ranks(alseg, *command, ranks=2, folder=tmp_path)
    assert digests(one / "queries") == digests(two / "queries")
    for run in (one, two):
        answer(run, lambda query: query.guess)
    run_ranks(alseg, "fit", "--resume", two, ranks=2, folder=tmp_path)
    assert fit("--resume", one) == 0
    assert digests(one / "labels/round-001") == digests(two / "labels/round-001")


@pytest.fixture
def waiting(settings, tmp_path):
    """A run that waits for the answers to ten windows of 7x7 pixels."""
    run = tmp_path / "run"
    more = ["--annotator", "manual", "--budget", "4 regions"]
    assert fit("-c", settings, "--out", run, *SETTINGS, *more) == 0
    asked = open_round(run, 1)
    assert len(asked.queries) == 10
    assert all(query.bottom - query.top <= 7 for query in asked.queries)
    return run


def test_a_run_does_not_go_on_without_answers_and_says_how_many_are_missing(waiting, capsys):
    names = [query.id for query in open_round(waiting, 1).queries]
    answer(waiting, lambda query: {names[0]: None, names[1]: 3}.get(query.id, 2))
    answer(waiting, lambda query: 4 if query.id == names[1] else None, "ben")
    before = digests(waiting)
    assert fit("--resume", waiting) == 2
    said = capsys.readouterr().err
    assert "1 of 10 are not answered and 1 are answered differently" in said
    assert f"alseg annotate {waiting}" in said
    assert digests(waiting) == before


def test_what_is_missing_goes_back_to_the_pool_and_is_not_charged(waiting):
    asked = open_round(waiting, 1)
    missing, skipped = asked.queries[0], asked.queries[2]
    assert missing.image != skipped.image
    answer(waiting, lambda query: {missing: None, skipped: "skip"}.get(query, 1))
    assert fit("--resume", waiting, "--partial") == 0
    store = LabelStore.open(waiting / "labels")
    assert store.rounds == 1
    assert store.regions == store.spent("clicks").sum() == 8
    for query in (missing, skipped):
        assert store.label(query.image)[query.row, query.column] == 255
        assert not store.asked(query.image)[query.row, query.column]
    # Round 2 asks for what is left of the budget, 20 regions in all.
    assert len(open_round(waiting, 2).queries) == 12


def test_what_nobody_can_tell_is_not_asked_again(waiting):
    first = answer(waiting, lambda query: "skip").queries
    assert fit("--resume", waiting) == 0
    assert LabelStore.open(waiting / "labels").regions == 0
    second = open_round(waiting, 2).queries
    assert len(second) == 20
    for query in second:
        for skipped in first:
            if query.image == skipped.image:
                apart = max(abs(query.row - skipped.row), abs(query.column - skipped.column))
                assert apart > 2 * 3


def test_a_round_is_not_taken_in_while_people_may_answer(waiting, capsys):
    answer(waiting, lambda query: 1)
    before = digests(waiting)
    lock = lock_folder(waiting / "queries" / "round-001" / "answers")
    assert fit("--resume", waiting) == 2
    assert "Round 1 is being answered: stop `alseg annotate` first" in capsys.readouterr().err
    lock.release()
    after = digests(waiting)
    assert {name for name in after if after[name] != before.get(name)} <= {
        "queries/round-001/answers/.lock"
    }


def test_the_minutes_of_people_leave_breaks_and_other_tools_out(waiting):
    names = [query.id for query in open_round(waiting, 1).queries]
    journal = Journal(open_round(waiting, 1), "anna")
    journal.append(
        Entry(name, 1, seconds) for name, seconds in zip(names, [2, 4, 9000, 0], strict=False)
    )
    assert People(waiting).effort() == {"answers": 4, "timed": 3, "seconds": 2 + 4 + 60}


def test_a_mixed_window_is_answered_by_its_quadrants_and_costs_five_clicks(waiting):
    asked = open_round(waiting, 1)
    mixed = asked.queries[0]
    row, column = (mixed.top + mixed.bottom) // 2, (mixed.left + mixed.right) // 2
    answer(waiting, lambda query: "mixed" if query == mixed else "void")
    assert fit("--resume", waiting) == 2
    parts = asked.parts(mixed)
    said = zip(parts, [1, "void", 2, 3], strict=True)
    Journal(asked, "anna").append(Entry(part.id, answer) for part, answer in said)
    assert fit("--resume", waiting) == 0
    store = LabelStore.open(waiting / "labels")
    assert store.spent("clicks").sum() == 9 + 5
    label = store.label(mixed.image)
    expected = np.full(label.shape, 255)
    expected[mixed.top : row, mixed.left : column] = 1
    expected[row : mixed.bottom, mixed.left : column] = 2
    expected[row : mixed.bottom, column : mixed.right] = 3
    assert np.array_equal(label, expected)


def test_a_budget_of_clicks_is_spent_over_images_and_rounds(settings, tmp_path):
    run = tmp_path / "run"
    more = ["--annotator", "manual", "--budget", "7 clicks", *SETTINGS]
    assert fit("-c", settings, "--out", run, *more) == 0
    # 3.5 clicks are due; as nobody knows yet, every other window is taken to have four parts.
    assert len(answer(run, lambda query: 0).queries) == 1
    assert fit("--resume", run) == 0
    # None was mixed, so the six clicks that are left are six windows.
    assert len(answer(run, lambda query: 0).queries) == 6
    assert fit("--resume", run) == 0
    summary = json.loads((run / "summary.json").read_text())
    assert summary["labels"]["clicks"] == summary["labels"]["regions"] == 7


def images_alone(folder):
    """Write five images without labels, and return the options that name them as the target."""
    pool = open_dataset("scenes:dusk", "train", size=[48, 64], count=5)
    (folder / "images/train").mkdir(parents=True)
    for index in range(5):
        Image.fromarray(pool.image(index)).save(folder / f"images/train/{index}.png")
    classes = ", ".join(pool.label_space.classes)
    (folder / "mine.yaml").write_text(f"images: images\nclasses: [{classes}]\n")
    return ["--target", f"folder:{folder / 'mine.yaml'}", "--target-options", "{}"]


def test_the_target_needs_no_label_at_all(settings, tmp_path, capsys):
    target = images_alone(tmp_path)
    run = tmp_path / "run"
    more = ["--annotator", "manual", *WINDOWS]
    assert fit("-c", settings, "--out", run, *target, *more) == 0, capsys.readouterr().err
    entry = next(iter(open_round(run, 1).images.values()))
    assert entry.file == str(tmp_path / "images/train/0.png")
    for _ in range(2):
        answer(run, lambda query: query.guess)
        assert fit("--resume", run) == 0
    assert "no mIoU: the target has no labelled images" in capsys.readouterr().out
    assert (run / "checkpoints" / "last.ckpt").is_file()


def test_people_are_shown_the_images_of_a_pool_that_was_moved(settings, tmp_path, capsys):
    target = images_alone(tmp_path / "here")
    run, more = tmp_path / "run", ["--annotator", "manual", *WINDOWS]
    assert fit("-c", settings, "--out", run, *target, *more) == 0, capsys.readouterr().err
    asked = open_round(run, 1)
    expected = {image_id: asked.pixels_of(image_id) for image_id in asked.images}
    (tmp_path / "here").rename(tmp_path / "there")
    moved = f"folder:{tmp_path / 'there/mine.yaml'}"
    assert fit("--resume", run, "--target", moved) == 2
    assert "are not answered" in capsys.readouterr().err
    again = open_round(run, 1)
    assert again.identity == asked.identity
    for image_id, pixels in expected.items():
        assert again.path_of(image_id).is_relative_to(tmp_path / "there")
        assert np.array_equal(again.pixels_of(image_id), pixels)


def test_a_place_that_climbs_is_written_down_as_where_it_leads(settings, tmp_path, capsys):
    target = images_alone(tmp_path / "here")
    (tmp_path / "deep/down").mkdir(parents=True)
    climbing = f"folder:{tmp_path}/link/../../here/mine.yaml"
    (tmp_path / "link").symlink_to(tmp_path / "deep/down")
    run, more = tmp_path / "run", ["--annotator", "manual", *WINDOWS]
    assert fit("-c", settings, "--out", run, "--target", climbing, *target[2:], *more) == 0
    entry = next(iter(open_round(run, 1).images.values()))
    assert entry.file == str(tmp_path / "here/images/train/0.png")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = climbing.replace("/here/", "/there/")
    assert fit("--resume", run, "--target", moved) == 2
    assert "are not answered" in capsys.readouterr().err
    entry = next(iter(open_round(run, 1).images.values()))
    assert entry.file == str(tmp_path / "there/images/train/0.png")


def test_a_round_that_was_written_by_half_is_asked_again(waiting):
    whole = digests(waiting / "queries")
    staged = waiting / "queries" / ".staging-queries"
    shutil.move(waiting / "queries" / "round-001", staged)
    (staged / "round.json").unlink()
    assert fit("--resume", waiting) == 0
    assert digests(waiting / "queries") == whole


def test_partial_goes_with_a_run_that_waits(settings, tmp_path, capsys):
    assert fit("-c", settings, "--out", tmp_path / "run", "--partial") == 2
    assert re.search("--partial .* use it with --resume", capsys.readouterr().err)

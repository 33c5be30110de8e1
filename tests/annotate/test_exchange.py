import os
import subprocess
import sys

import pytest
from tests.helpers.archives import digests
from tests.helpers.asked import journal
from tests.helpers.exchanged import FORMATS, answer, export, name_of, say, write_small_round

from alseg.annotate.exchange import export_queries, import_answers
from alseg.annotate.exchange.source import Source
from alseg.cli.main import main
from alseg.errors import AlsegError, ConfigError, ExchangeError, LabelStoreError

every_format = pytest.mark.parametrize("format_name", FORMATS)


@every_format
def test_answers_come_back_and_what_nobody_answered_stays_open(run, asked, format_name):
    labels = {name_of(1): "road", name_of(2): "void", name_of(3): "car", name_of(5): "skip"}
    file = answer(export(run, format_name).folder, format_name, labels)
    done = import_answers(run, file)
    expected = [(name_of(1), 0), (name_of(2), "void"), (name_of(3), 2), (name_of(5), "skip")]
    assert journal(asked, "import") == expected
    assert done.format_name == format_name
    assert done.new == {"road": 1, "void": 1, "car": 1, "skip": 1}
    assert (done.unanswered, done.missing, done.known) == (1, 1, 0)


@every_format
def test_the_same_file_twice_changes_nothing(run, asked, format_name):
    labels = {name_of(1): "mixed", name_of(2): "sky"}
    file = answer(export(run, format_name).folder, format_name, labels)
    import_answers(run, file)
    before = digests(run)
    assert import_answers(run, file).known == 2
    assert digests(run) == before


@every_format
def test_an_export_that_nobody_touched_changes_nothing(run, asked, format_name):
    say(asked, "anna", {name_of(1): "mixed", name_of(1, 2): 0, name_of(2): 1, name_of(3): "skip"})
    before = digests(run)
    done = import_answers(run, answer(export(run, format_name).folder, format_name, {}), person="b")
    assert done.new == {}
    assert digests(run) == before


@every_format
def test_the_parts_of_a_mixed_window_go_out_and_come_back(run, asked, format_name):
    say(asked, "anna", {name_of(1): "mixed"})
    exported = export(run, format_name)
    assert (exported.windows, exported.answered) == (5 + 4, 1)
    parts = {name_of(1, 1): "road", name_of(1, 2): "mixed", name_of(1, 4): "void"}
    done = import_answers(run, answer(exported.folder, format_name, parts), person="bob")
    assert journal(asked, "bob") == [
        (name_of(1, 1), 0),
        (name_of(1, 2), "mixed"),
        (name_of(1, 4), "void"),
    ]
    # Part 3 has no answer yet, so the window is not answered either.
    assert done.missing == 5


@every_format
def test_parts_of_a_window_that_is_not_mixed_any_more_are_left_out(run, asked, format_name):
    say(asked, "anna", {name_of(1): "mixed"})
    labels = {name_of(1): "car", name_of(1, 1): "road"}
    file = answer(export(run, format_name).folder, format_name, labels)
    done = import_answers(run, file, person="anna")
    assert journal(asked, "anna") == [(name_of(1), "mixed"), (name_of(1), 2)]
    assert done.idle == 1


@every_format
def test_a_correction_of_ones_own_answer_is_added(run, asked, format_name):
    say(asked, "anna", {name_of(1): 0, name_of(2): 1})
    file = answer(export(run, format_name).folder, format_name, {name_of(1): "sky"})
    done = import_answers(run, file, person="anna")
    assert journal(asked, "anna")[2:] == [(name_of(1), 1)]
    assert done.disputed == 0
    again = answer(export(run, format_name).folder, format_name, {name_of(1): "car"})
    assert import_answers(run, again, person="bob").disputed == 1


def test_a_correction_in_review_settles_a_dispute(run, asked):
    say(asked, "anna", {name_of(1): 0})
    say(asked, "bob", {name_of(1): 1})
    file = answer(export(run, "cvat").folder, "cvat", {name_of(1): "sky"})
    assert import_answers(run, file, person="carl").disputed == 0
    assert import_answers(run, file, person="review").known == 1
    say(asked, "dora", {name_of(1): 0})
    done = import_answers(run, file, person="review")
    assert (done.new, done.disputed) == ({"sky": 1}, 0)


@every_format
def test_a_closed_round_takes_no_answers(run, asked, format_name):
    file = answer(export(run, format_name).folder, format_name, {name_of(1): "road"})
    (run / "labels/round-001").mkdir(parents=True)
    before = digests(run)
    with pytest.raises(ExchangeError, match="Round 1 is closed and takes no more answers"):
        import_answers(run, file)
    assert digests(run) == before


@every_format
def test_answers_for_an_earlier_round_are_refused(run, asked, format_name):
    file = answer(export(run, format_name).folder, format_name, {name_of(1): "road"})
    write_small_round(run, number=2)
    before = digests(run)
    with pytest.raises(ExchangeError, match="is of round 1; answers are taken for round 2"):
        import_answers(run, file)
    assert digests(run) == before


@every_format
def test_the_images_go_along_under_their_names(run, asked, format_name):
    folder = export(run, format_name).folder
    originals = digests(asked.folder / "images")
    assert len(originals) == 2
    assert digests(folder / "images") == originals
    bare = export_queries(run, run.parent / "bare", format_name, images=False)
    assert not (bare.folder / "images").exists()


@every_format
def test_exporting_twice_gives_the_same_bytes(run, asked, format_name):
    assert digests(export(run, format_name).folder) == digests(export(run, format_name).folder)


def test_a_round_that_closes_while_the_file_is_read_takes_no_answers(run, asked, monkeypatch):
    file = answer(export(run, "coco").folder, "coco", {name_of(1): "road"})
    read = Source.json.func

    def close_and_read(source):
        (run / "labels/round-001").mkdir(parents=True)
        return read(source)

    monkeypatch.setattr(Source, "json", property(close_and_read))
    before = digests(run)
    with pytest.raises(ExchangeError, match="Round 1 is closed"):
        import_answers(run, file)
    assert digests(run) == before


def test_a_tool_that_changes_its_images_changes_none_of_the_data_set(run, asked):
    originals = digests(asked.folder / "images")
    exported = export(run, "cvat").folder / "images"
    (exported / "b.1.png").write_bytes(b"")
    assert digests(asked.folder / "images") == originals


def test_links_are_made_only_where_they_are_asked_for(run, asked):
    original = asked.folder / "images/b.1.png"
    linked = export_queries(run, run.parent / "linked", "cvat", link=True).folder / "images"
    assert original.samefile(linked / "b.1.png")
    assert digests(linked) == digests(asked.folder / "images")
    out = run.parent / "out"
    assert main(["export", str(run), "--format", "cvat", "-o", str(out)]) == 0
    assert not original.samefile(out / "images/b.1.png")


def test_where_the_disk_has_no_links_the_images_are_copied(run, asked, monkeypatch):
    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    copied = export_queries(run, run.parent / "out", "cvat", link=True).folder / "images"
    assert digests(copied) == digests(asked.folder / "images")


def test_a_missing_image_leaves_no_folder_behind(run, asked):
    (asked.folder / "images/b.1.png").unlink()
    with pytest.raises(LabelStoreError, match=r"b\.1\.png that is asked about is missing"):
        export_queries(run, run.parent / "out", "cvat")
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_a_folder_in_use_is_not_written_to(run, asked):
    out = run.parent / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is in use, and nothing in it is overwritten"):
        export_queries(run, out, "coco")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["query", "mixed", "void", "skip", " road", "a\nb", "a\x1bb"])
def test_a_class_that_a_tool_would_mistake_does_not_go_out(run, name):
    write_small_round(run, classes=("road", name))
    with pytest.raises(ExchangeError, match="cannot be told apart"):
        export_queries(run, run.parent / "out", "coco")
    assert [path.name for path in run.parent.iterdir()] == ["run"]


@every_format
def test_class_names_of_any_script_survive(run, format_name):
    classes = ('<road> & "rail"', "straße, naß; 'wet'", "道路")
    asked = write_small_round(run, classes=classes)
    labels = {name_of(1): classes[0], name_of(2): classes[1], name_of(3): classes[2]}
    import_answers(run, answer(export(run, format_name).folder, format_name, labels))
    assert journal(asked, "import") == [(name_of(1), 0), (name_of(2), 1), (name_of(3), 2)]


def test_a_run_that_asks_no_people_is_told_so(tmp_path):
    with pytest.raises(LabelStoreError, match="has no queries for people"):
        export_queries(tmp_path, tmp_path / "out", "coco")
    with pytest.raises(LabelStoreError, match="has no queries for people"):
        import_answers(tmp_path, tmp_path)


def test_a_misspelt_format_is_answered_with_the_nearest(run, asked):
    with pytest.raises(AlsegError, match="Did you mean 'label-studio'"):
        export_queries(run, run.parent / "out", "labelstudio")
    with pytest.raises(AlsegError, match="Did you mean 'cvat'"):
        import_answers(run, run, "cvta")


def test_the_commands_say_what_they_did(run, asked, capsys):
    out = run.parent / "out"
    assert main(["export", str(run), "--format", "cvat", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("round 1: 5 windows in 2 images, 0 of them answered")
    assert str(out / "annotations.xml") in said
    file = answer(out, "cvat", {name_of(1): "road", name_of(2): "road", name_of(3): "mixed"})
    assert main(["import", str(run), str(file), "--as", "anna"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("round 1: 3 new answers (1 mixed, 2 road)")
    assert "queries still without an answer: 3\n1 of these are mixed" in said
    assert len(journal(asked, "anna")) == 3


def test_the_commands_refuse_in_one_line(run, asked, capsys):
    assert main(["import", str(run), str(run.parent / "nothing.xml")]) == 2
    err = capsys.readouterr().err
    assert err == (
        f"alseg import: {run.parent / 'nothing.xml'} does not exist. Name the file that the tool "
        "exported.\n"
    )
    assert main(["import", str(run), str(run), "--as", "../anna"]) == 2
    assert "The name '../anna' cannot be used" in capsys.readouterr().err


def test_neither_command_waits_for_the_training_stack(run, asked):
    out = run.parent / "out"
    for arguments in (["export", "--format", "coco", "-o", str(out)], ["import", str(out)]):
        command, *rest = arguments
        rest = [str(out / "annotations/instances_default.json")] if command == "import" else rest
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "alseg.cli.main", command, str(run), *rest],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
        assert done.returncode == 0
        assert "alseg.annotate.exchange.outgoing" in imported
        assert {"torch", "lightning", "albumentations"} & imported == set()

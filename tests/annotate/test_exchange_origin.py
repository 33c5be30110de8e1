"""Whose answers a file holds: of this run, of this person, about these images."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tests.helpers.archives import digests
from tests.helpers.asked import journal, make_round
from tests.helpers.exchanged import FORMATS, answer, export, name_of, say, write_small_round

from alseg.active.people import People
from alseg.annotate import measure_agreement, open_shares
from alseg.annotate.exchange import export_queries, import_answers
from alseg.cli.main import main
from alseg.errors import ExchangeError, LabelStoreError
from alseg.queries.answers import latest

every_format = pytest.mark.parametrize("format_name", FORMATS)


@every_format
def test_a_file_of_another_run_is_refused_although_names_and_sizes_fit(run, asked, format_name):
    # The same images and the same centres but one, which moves by a pixel inside its old window.
    centres = (("city/a", 4, 4), ("b.1", 10, 10), ("city/a", 12, 20), ("city/a", 0, 0))
    other = run.parent / "other"
    write_small_round(other, centres=centres)
    file = answer(export(other, format_name).folder, format_name, {name_of(2): "road"})
    before = digests(run)
    with pytest.raises(ExchangeError, match="another run"):
        import_answers(run, file)
    assert digests(run) == before
    assert import_answers(other, file).new == {"road": 1}


def test_masks_of_another_run_are_refused_by_the_classes_beside_them(run, asked):
    other = run.parent / "other"
    write_small_round(other, centres=(("city/a", 8, 8),), sizes={"city/a": (24, 32)})
    folder = export(other, "png").folder
    (folder / "queries.csv").unlink()
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(folder / "masks/city/a.png")
    for place in (folder, folder / "masks"):
        with pytest.raises(
            ExchangeError, match=r"classes\.yaml: this was exported from another run"
        ):
            import_answers(run, place)


def test_a_run_that_was_moved_takes_its_own_files(run, asked):
    file = answer(export(run, "cvat").folder, "cvat", {name_of(1): "road"})
    moved = run.rename(run.with_name("moved"))
    assert import_answers(moved, file).new == {"road": 1}


@every_format
def test_what_two_people_answer_alike_in_one_export_counts_for_both(run, format_name):
    """Two people agree on 21 of 24; Cohen's kappa is worked out by hand."""
    classes = ("road", "sky", "car")
    asked = make_round(run, 24, classes=classes)
    # Anna says road, sky and car 8 times each; Ben says sky where she says road three times.
    anna = ["road", "sky", "car"] * 8
    ben = [word if place >= 9 or word != "road" else "sky" for place, word in enumerate(anna)]
    given = {"anna": anna, "ben": ben}
    # Both are given the same, before anybody has answered.
    for person in given:
        export_queries(run, run.parent / person, format_name, images=False)
    for person, words in given.items():
        labels = {name_of(place): word for place, word in enumerate(words, start=1)}
        file = answer(run.parent / person, format_name, labels)
        assert sum(import_answers(run, file, person=person).new.values()) == 24
    agreement = measure_agreement(None, latest(asked))
    assert (agreement.asked, agreement.answered, agreement.equal) == (24, 24, 21 / 24)
    expected = (8 * 5 + 8 * 11 + 8 * 8) / 24**2
    assert agreement.kappa == pytest.approx((21 / 24 - expected) / (1 - expected))


def test_the_report_measures_the_agreement_of_two_imports(run, asked, capsys):
    table = run.parent / "mine.csv"
    for person, words in (("anna", "road sky car road sky"), ("ben", "road sky car road car")):
        rows = zip(range(1, 6), words.split(), strict=True)
        lines = [f"{name_of(place)},{word}" for place, word in rows]
        table.write_text("\n".join(["query,answer", *lines]))
        assert main(["import", str(run), str(table), "--as", person]) == 0
    capsys.readouterr()
    assert main(["annotate", str(run), "--report"]) == 0
    # Of five, four are equal; by chance (2·2 + 2·1 + 1·2) / 25 are.
    kappa = (4 / 5 - 8 / 25) / (1 - 8 / 25)
    assert (
        f"Cohen's kappa {kappa:.3f}; 80.0% of the answers are the same" in capsys.readouterr().out
    )


@every_format
def test_answers_that_went_out_are_not_those_of_who_brings_them_back(run, asked, format_name):
    say(asked, "anna", {name_of(1): 0, name_of(2): 1})
    file = answer(export(run, format_name).folder, format_name, {name_of(2): "car"})
    import_answers(run, file, person="ben")
    assert journal(asked, "ben") == [(name_of(2), 2)]


@every_format
def test_an_answer_that_was_given_meanwhile_is_also_that_of_who_gave_it_alike(
    run, asked, format_name
):
    file = answer(export(run, format_name).folder, format_name, {name_of(1): "road"})
    say(asked, "anna", {name_of(1): 0})
    done = import_answers(run, file, person="ben")
    assert journal(asked, "ben") == [(name_of(1), 0)]
    # It stands already, and is new as an answer of his.
    assert (done.known, done.new) == (1, {"road": 1})


@every_format
def test_a_change_back_to_what_went_out_is_taken(run, asked, format_name):
    say(asked, "anna", {name_of(1): 0})
    folder = export(run, format_name).folder
    import_answers(run, answer(folder, format_name, {name_of(1): "sky"}), person="anna")
    import_answers(run, answer(folder, format_name, {name_of(1): "road"}), person="anna")
    assert [value for _, value in journal(asked, "anna")] == [0, 1, 0]


def spoil(asked, name="b.1"):
    """Change one pixel of an image, which keeps its size."""
    path = asked.folder / f"images/{name}.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0] ^= 255
    Image.fromarray(pixels).save(path)


@every_format
def test_a_changed_image_is_neither_exported_nor_answered(run, asked, format_name):
    file = answer(export(run, format_name).folder, format_name, {name_of(2): "road"})
    spoil(asked)
    before = digests(run)
    with pytest.raises(LabelStoreError, match=r"b\.1\.png has changed since its queries"):
        import_answers(run, file)
    with pytest.raises(LabelStoreError, match=r"b\.1\.png has changed since its queries"):
        export_queries(run, run.parent / "later", format_name)
    with pytest.raises(LabelStoreError, match=r"b\.1\.png has changed since its queries"):
        export_queries(run, run.parent / "later", format_name, images=False)
    assert digests(run) == before
    assert not (run.parent / "later").exists()


def test_the_answers_about_a_changed_image_are_not_taken_in(run, asked):
    say(asked, "anna", {name_of(place): 0 for place in range(1, 6)})
    assert len(People(run).read(1).answers) == 5
    spoil(asked, "city/a")
    with pytest.raises(LabelStoreError, match=r"city/a\.png has changed since its queries"):
        People(run).read(1)


def test_answers_are_taken_where_the_images_are_not_at_hand(run, asked):
    file = answer(export(run, "coco").folder, "coco", {name_of(2): "road"})
    (asked.folder / "images/b.1.png").unlink()
    assert import_answers(run, file).new == {"road": 1}


def masks_of(run, values):
    """An export whose mask of b.1 is left for the test to write; answers all of it with values."""
    folder = export(run, "png").folder
    (folder / "queries.csv").unlink()
    return folder, np.resize(np.array(values, np.uint8), (20, 20)), folder / "masks/b.1.png"


def picture_of(levels, shown):
    """An indexed picture that shows colours, with the palette in an order of its own."""
    order = list(reversed(shown))
    picture = Image.fromarray(np.vectorize(order.index)(levels).astype(np.uint8), "L")
    picture = picture.convert("P")
    picture.putdata([order.index(level) for level in levels.flat])
    return picture, order


def test_a_palette_in_another_order_is_read_as_it_is_shown(run, asked):
    """Windows 2 and 5 of the round are in b.1; rows below 8 are sky, the others car."""
    folder, levels, path = masks_of(run, 255)
    levels[:8], levels[8:] = 1, 2
    picture, order = picture_of(levels, [0, 1, 2, 255])
    picture.putpalette([level for level in order for _ in range(3)])
    picture.save(path)
    assert Image.open(path).mode == "P"
    import_answers(run, folder)
    assert dict(journal(asked, "import")) == {name_of(2): 2, name_of(5): 1}


def test_a_palette_of_the_class_colours_is_read_by_the_colours(run, asked):
    folder, levels, path = masks_of(run, 255)
    levels[:8], levels[8:] = 1, 2
    picture, order = picture_of(levels, [0, 1, 2, 255])
    colors = {**dict(enumerate(asked.colors)), 255: (255, 255, 255)}
    picture.putpalette([part for level in order for part in colors[level]])
    picture.save(path)
    import_answers(run, folder)
    assert dict(journal(asked, "import")) == {name_of(2): 2, name_of(5): 1}


@pytest.mark.parametrize("colors", [[(1, 2, 3), (9, 9, 9)], [(0, 0, 0), (85, 85, 85)]])
def test_a_palette_of_other_colours_is_refused(run, asked, colors):
    folder, _, path = masks_of(run, 255)
    picture = Image.fromarray(np.tile(np.array([0, 1], np.uint8), (20, 10)), "L").convert("P")
    picture.putdata([0, 1] * 200)
    picture.putpalette([part for color in colors for part in color])
    picture.save(path)
    with pytest.raises(ExchangeError, match="has a palette that shows other colours"):
        import_answers(run, folder)


def test_one_bit_shows_black_and_white(run, asked):
    """A packer makes one bit of class 0 and 255, which is no answer."""
    folder, levels, path = masks_of(run, 255)
    levels[8:] = 0
    Image.fromarray(levels).convert("1").save(path)
    import_answers(run, folder)
    assert journal(asked, "import") == [(name_of(2), 0)]


def test_the_mask_of_each_image_is_its_own_where_names_end_twice(run):
    sizes = {"x": (9, 9), "x.png": (9, 9)}
    centres = (("x", 4, 4), ("x.png", 4, 4))
    asked = write_small_round(run, centres=centres, sizes=sizes)
    square = [[0, 0, 9, 0, 9, 9, 0, 9]]
    content = {
        "images": [
            {"id": 1, "file_name": "x.png", "height": 9, "width": 9},
            {"id": 2, "file_name": "somewhere/x.png.png", "height": 9, "width": 9},
        ],
        "categories": [{"id": 0, "name": "road"}, {"id": 1, "name": "sky"}],
        "annotations": [
            {"image_id": 1, "category_id": 0, "segmentation": square},
            {"image_id": 2, "category_id": 1, "segmentation": square},
        ],
    }
    file = run.parent / "coco.json"
    file.write_text(json.dumps(content))
    import_answers(run, file)
    assert journal(asked, "import") == [(name_of(1), 0), (name_of(2), 1)]


NAMES = ("trailing ", "0000", "1-2", "=1+1", "TRUE", "20131015123456789", "'=x", "a  b", "@sum")
AS_SAVED = ("trailing", "0", "02-Jan", "2", "TRUE", "2.01312E+16", "=x", "a b", "#NAME?")


@pytest.mark.parametrize(("name", "saved"), [*zip(NAMES, AS_SAVED, strict=True)])
def test_a_spreadsheet_may_change_the_name_of_an_image(run, name, saved):
    sizes = {name: (9, 9), "other": (9, 9)}
    centres = ((name, 4, 4), ("other", 4, 4))
    asked = write_small_round(run, centres=centres, sizes=sizes)
    folder = export(run, "png").folder
    for cell in (None, saved):
        rows = list(csv.DictReader((folder / "queries.csv").open(newline="")))
        rows[0]["image"] = rows[0]["image"] if cell is None else cell
        rows[0]["answer"] = "sky"
        table = run.parent / "saved.csv"
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        assert import_answers(run, table, person="a" if cell is None else "b").missing == 1
    assert journal(asked, "a") == journal(asked, "b") == [(name_of(1), 1)]


def test_rows_that_a_spreadsheet_leaves_empty_answer_nothing(run, asked):
    table = run.parent / "saved.csv"
    table.write_text(f"query;answer;\n{name_of(1)};sky;\n;;\n ; ;\n")
    import_answers(run, table)
    assert journal(asked, "import") == [(name_of(1), 1)]


@pytest.mark.parametrize(("name", "cell"), [("0000", "1"), ("0000", "other"), ("a_1", "a_2")])
def test_a_name_that_no_spreadsheet_makes_of_it_is_another_image(run, name, cell):
    sizes = {name: (9, 9), "other": (9, 9)}
    write_small_round(run, centres=((name, 4, 4), ("other", 4, 4)), sizes=sizes)
    table = export(run, "png").folder / "queries.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace(f",{name},", f",{cell},")
    table.write_text("\n".join(lines))
    with pytest.raises(ExchangeError, match="has the image"):
        import_answers(run, table)


def test_a_text_in_the_place_of_an_image_is_another_image(run, asked):
    (asked.folder / "images/b.1.png").write_text("root:x:0:0")
    with pytest.raises(LabelStoreError, match=r"b\.1\.png has changed since its queries"):
        export_queries(run, run.parent / "later", "coco")


def test_dealt_queries_and_those_answered_besides_are_measured_alike(run):
    """Twelve of 24 are dealt to both; a tool brings all 24 of each, of which 21 are equal."""
    asked = make_round(run, 24, classes=("road", "sky"))
    shares = open_shares(asked, "anna,ben", 0.5)
    assert len(shares.overlap) == 12
    anna = {name_of(place): place % 2 for place in range(1, 25)}
    ben = {**anna, name_of(1): 0, name_of(3): 0, name_of(5): 0}
    for person, answers in (("anna", anna), ("ben", ben)):
        lines = [f"{name},{('road', 'sky')[word]}" for name, word in answers.items()]
        (run.parent / "a.csv").write_text("\n".join(["query,answer", *lines]))
        import_answers(run, run.parent / "a.csv", person=person)
    agreement = measure_agreement(shares, latest(asked))
    # Anna says road 12 times of 24, Ben 15 times.
    expected = (12 * 15 + 12 * 9) / 24**2
    assert (agreement.asked, agreement.answered, agreement.equal) == (24, 24, 21 / 24)
    assert agreement.kappa == pytest.approx((21 / 24 - expected) / (1 - expected))

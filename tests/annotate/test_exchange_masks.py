"""Answers that are painted: PNGs, and COCO's run lengths and polygons."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.archives import digests
from tests.helpers.asked import journal, window
from tests.helpers.exchanged import CENTRES, SIZES, answer, name_of, say, write_small_round

from alseg.annotate.exchange import export_queries, import_answers
from alseg.annotate.exchange.segmentations import pixels_of
from alseg.annotate.exchange.shapes import Node
from alseg.errors import ExchangeError


@pytest.fixture
def masks(run, asked):
    """The folder of an export without answers."""
    return export_queries(run, run.parent / "out", "png", images=False).folder


def paint(masks, place, value, rows=slice(None), columns=slice(None)):
    """Give pixels of the window of a query a value, as a person with a brush does."""
    image, row, column = CENTRES[place - 1]
    path = masks / f"masks/{image}.png"
    values = np.array(Image.open(path))
    top, left, bottom, right = window(SIZES[image], row, column)
    values[top:bottom, left:right][rows, columns] = value
    Image.fromarray(values).save(path)


def test_a_mask_holds_the_answers_and_255_everywhere_else(run, asked):
    say(asked, "anna", {name_of(1): 0, name_of(2): "void", name_of(3): "mixed", name_of(3, 4): 2})
    folder = export_queries(run, run.parent / "out", "png").folder
    expected = np.full(SIZES["city/a"], 255)
    expected[2:5, 3:6] = 0
    expected[12:14, 20:22] = 2  # The quadrant of the centre and of what lies below and right of it.
    with Image.open(folder / "masks/city/a.png") as mask:
        assert mask.mode == "L"
        assert np.array_equal(np.array(mask), expected)
    assert (np.array(Image.open(folder / "masks/b.1.png")) == 255).all()


def test_255_is_no_answer_and_never_class_0(run, asked, masks):
    before = digests(run)
    done = import_answers(run, masks)
    assert (done.new, done.missing) == ({}, 5)
    assert digests(run) == before


def test_a_window_of_class_0_is_answered_and_the_others_stay_open(run, asked, masks):
    paint(masks, 4, 0)
    done = import_answers(run, masks)
    assert journal(asked, "import") == [(name_of(4), 0)]
    assert done.missing == 4


@pytest.mark.parametrize("rows", [0, slice(0, 2)])
def test_a_window_that_is_painted_in_part_has_no_answer(run, asked, masks, rows):
    paint(masks, 1, 0, rows=rows)
    paint(masks, 2, 2)
    done = import_answers(run, masks)
    assert journal(asked, "import") == [(name_of(2), 2)]
    # The four other lines of the table are empty, and that of the window is one of them.
    assert (done.unanswered, done.missing) == (4, 4)


def test_a_window_with_several_classes_is_mixed_with_its_parts(run, asked, masks):
    paint(masks, 1, 0)
    paint(masks, 1, 1, rows=0, columns=0)
    paint(masks, 1, 2, rows=2, columns=2)
    import_answers(run, masks)
    # Quadrants of a 3×3 window: 1×1, 1×2, 2×1 and 2×2 pixels; the last has road and car.
    assert journal(asked, "import") == [
        (name_of(1), "mixed"),
        (name_of(1, 1), 1),
        (name_of(1, 2), 0),
        (name_of(1, 3), 0),
        (name_of(1, 4), "mixed"),
    ]


def test_a_part_that_is_not_painted_stays_open(run, asked, masks):
    paint(masks, 1, 0, rows=0)
    paint(masks, 1, 1, rows=0, columns=0)
    done = import_answers(run, masks)
    assert [name for name, _ in journal(asked, "import")] == [
        name_of(1),
        name_of(1, 1),
        name_of(1, 2),
    ]
    assert done.missing == 5


@pytest.mark.parametrize(("split", "parts"), [("pixels", 9), ("drop", 0)])
def test_parts_are_those_of_the_rounds_split(run, split, parts):
    asked = write_small_round(run, split=split)
    masks = export_queries(run, run.parent / "out", "png").folder
    paint(masks, 1, 2)
    paint(masks, 1, 0, rows=1, columns=1)
    import_answers(run, masks)
    answers = [value for _, value in journal(asked, "import")]
    assert answers == ["mixed", *[2, 2, 2, 2, 0, 2, 2, 2, 2][:parts]]


def test_what_the_table_says_counts_more_than_the_mask(run, asked, masks):
    for place in (1, 2, 3):
        paint(masks, place, 1)
    answer(masks, "png", {name_of(1): "skip", name_of(2): "car"})
    import_answers(run, masks)
    assert journal(asked, "import") == [(name_of(1), "skip"), (name_of(2), 2), (name_of(3), 1)]


def test_the_parts_of_a_window_that_the_table_calls_mixed_come_from_the_mask(run, asked, masks):
    paint(masks, 1, 1, rows=0, columns=0)
    answer(masks, "png", {name_of(1): "mixed"})
    import_answers(run, masks)
    assert journal(asked, "import") == [(name_of(1), "mixed"), (name_of(1, 1), 1)]


def test_the_answer_to_one_window_is_none_to_a_window_that_it_overlaps(run):
    centres = (("b.1", 10, 10), ("b.1", 11, 11), ("b.1", 10, 11))
    asked = write_small_round(run, centres=centres, sizes={"b.1": (20, 20)})
    say(asked, "anna", {name_of(1): 0})
    masks = export_queries(run, run.parent / "out", "png").folder
    assert import_answers(run, masks).new == {}


def test_a_table_alone_and_masks_alone_will_do(run, asked, masks):
    paint(masks, 2, 1)
    answer(masks, "png", {name_of(1): "void"})
    (masks / "queries.csv").rename(run.parent / "mine.csv")
    assert import_answers(run, run.parent / "mine.csv", person="a").new == {"void": 1}
    assert import_answers(run, masks, person="b").new == {"sky": 1}
    assert import_answers(run, masks / "masks", person="c").known == 1


def test_a_table_saved_by_a_spreadsheet_is_read(run, asked, masks):
    answer(masks, "png", {name_of(1): "road"})
    path = masks / "queries.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b";"))
    assert import_answers(run, path).new == {"road": 1}


def annotate(run, shapes):
    """Write a COCO file with shapes (category, segmentation) in city/a; return it."""
    file = run.parent / "coco.json"
    names = ["background", "road", "sky", "car", "void", "mixed", "query"]
    content = {
        "images": [{"id": "x", "file_name": "train/city/a.jpg", "width": 32, "height": 24}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": [
            {"image_id": "x", "category_id": names.index(name), "segmentation": segmentation}
            for name, segmentation in shapes
        ],
    }
    file.write_text(json.dumps(content))
    return file


def runs_of(top, left, bottom, right, height=24, width=32):
    """Return the run lengths of a box, down the columns, counted one by one."""
    pixels = [
        top <= row < bottom and left <= column < right
        for column in range(width)
        for row in range(height)
    ]
    counts, current = [0], False
    for pixel in pixels:
        if pixel != current:
            counts.append(0)
            current = pixel
        counts[-1] += 1
    return {"size": [height, width], "counts": counts}


def test_run_lengths_answer_the_windows_that_they_cover(run, asked):
    shapes = [
        ("road", runs_of(0, 0, 6, 8)),
        ("car", runs_of(11, 19, 14, 21)),
        ("void", runs_of(11, 21, 14, 22)),
    ]
    import_answers(run, annotate(run, shapes))
    assert journal(asked, "import") == [
        (name_of(1), 0),
        (name_of(3), "mixed"),
        (name_of(3, 1), 2),
        (name_of(3, 2), "mixed"),
        (name_of(3, 3), 2),
        (name_of(3, 4), "mixed"),
        (name_of(4), 0),
    ]


def test_a_polygon_holds_the_pixels_whose_centres_are_inside(run, asked):
    # The triangle under the diagonal of the window 11 to 14, 19 to 22, without the diagonal.
    triangle = [19, 11.9, 19, 14, 21.1, 14]
    import_answers(run, annotate(run, [("sky", runs_of(11, 19, 14, 22)), ("car", [triangle])]))
    assert journal(asked, "import")[1:] == [
        (name_of(3, 1), 1),
        (name_of(3, 2), 1),
        (name_of(3, 3), 2),
        (name_of(3, 4), "mixed"),
    ]


@given(st.lists(st.tuples(st.integers(-8, 90), st.integers(-8, 60)), min_size=3, max_size=9))
def test_the_pixels_of_any_polygon_are_those_that_counting_edges_gives(points):
    # Shifted so that no edge meets the centre of a pixel, on which rounding would decide.
    points = [(x / 4 + 0.03, y / 4 + 0.0424264) for x, y in points]
    flat = [number for point in points for number in point]
    edges = list(zip(points, [*points[1:], points[0]], strict=True))
    expected = np.zeros((12, 20), bool)
    for row, column in np.ndindex(12, 20):
        for (x1, y1), (x2, y2) in edges:
            if (y1 > row + 0.5) != (y2 > row + 0.5):
                share = (row + 0.5 - y1) / (y2 - y1)
                expected[row, column] ^= x1 + share * (x2 - x1) > column + 0.5
    assert np.array_equal(pixels_of(Node({"segmentation": [flat]}, ""), (12, 20)), expected)


def test_a_mask_that_is_still_a_query_says_nothing(run, asked):
    assert import_answers(run, annotate(run, [("query", runs_of(0, 0, 24, 32))])).new == {}


@pytest.mark.parametrize(
    ("name", "segmentation", "words"),
    [
        ("mixed", runs_of(0, 0, 5, 5), r"\.json, annotation 2: a mask cannot be mixed"),
        ("background", runs_of(0, 0, 5, 5), "no class is called 'background'"),
        ("road", {"size": [24, 32], "counts": [760]}, "do not add up to the 768 pixels"),
        ("road", {"size": [24, 32], "counts": [-8, 776]}, "do not add up"),
        ("road", {"size": [24, 32], "counts": [1e300, 1]}, "do not add up"),
        ("road", {"size": [32, 24], "counts": [768]}, "has the size 32x24"),
        ("road", {"size": [24, 32], "counts": "~~~"}, "cannot be unpacked"),
        ("road", {"size": [24, 32], "counts": "PPP"}, "cut short"),
        ("road", {"size": [24, 32], "counts": "o" * 40}, "cannot be unpacked"),
        ("road", {"size": [24, 32]}, "has no run lengths"),
        ("road", [[1, 2, 3, 4]], "three or more points"),
        ("road", [[1, 2, 3, 4, 5, 1e9]], "no place in an image"),
        ("road", "masks/1.png", "neither polygons nor run lengths"),
    ],
)
def test_a_shape_that_is_none_is_refused(run, asked, name, segmentation, words):
    file = annotate(run, [("road", runs_of(0, 0, 5, 5)), (name, segmentation)])
    before = digests(run)
    with pytest.raises(ExchangeError, match=words):
        import_answers(run, file)
    assert digests(run) == before


@pytest.mark.parametrize("column", ["image", "row", "right"])
def test_the_table_of_another_round_is_refused(run, masks, column):
    table = masks / "queries.csv"
    header, *lines = table.read_text().splitlines()
    place = header.split(",").index(column)
    values = lines[1].split(",")
    values[place] = "c/9" if column == "image" else str(int(values[place]) + 1)
    values[-1] = "car"
    table.write_text("\n".join([header, lines[0], ",".join(values), *lines[2:]]) + "\n")
    before = digests(run)
    with pytest.raises(ExchangeError, match=rf"line 3: .* has the {column} .* another run"):
        import_answers(run, masks)
    assert digests(run) == before

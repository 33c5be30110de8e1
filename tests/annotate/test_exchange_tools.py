"""What other tools' own libraries read of an export, and what is read of what they write.

They need older versions of what alseg depends on, so that `nox -s exchange` gives them an
environment of their own.
"""

import json

import numpy as np
import pytest
from tests.helpers.asked import journal
from tests.helpers.exchanged import SIZES, answer, name_of, say, write_small_round

from alseg.annotate.exchange import export_queries, import_answers
from alseg.annotate.exchange.segmentations import pixels_of
from alseg.annotate.exchange.shapes import Node
from alseg.errors import ExchangeError

REASON = "the labelling tools' libraries are installed by `nox -s exchange`"
dm = pytest.importorskip("datumaro", reason=REASON)
coco = pytest.importorskip("pycocotools.coco", reason=REASON)
coco_mask = pytest.importorskip("pycocotools.mask", reason=REASON)
converter = pytest.importorskip("label_studio_sdk.converter", reason=REASON)
interface = pytest.importorskip("label_studio_sdk.label_interface", reason=REASON)

LABELS = ["road", "sky", "car", "mixed", "void", "skip", "query"]
# By query: image, label, left, top, width, height.
EXPECTED = {
    name_of(1): ("city/a", "mixed", 3, 2, 3, 3),
    name_of(1, 1): ("city/a", "road", 3, 2, 1, 1),
    name_of(1, 2): ("city/a", "query", 4, 2, 2, 1),
    name_of(1, 3): ("city/a", "query", 3, 3, 1, 2),
    name_of(1, 4): ("city/a", "query", 4, 3, 2, 2),
    name_of(2): ("b.1", "query", 9, 9, 3, 3),
    name_of(3): ("city/a", "skip", 19, 11, 3, 3),
    name_of(4): ("city/a", "car", 0, 0, 2, 2),
    name_of(5): ("b.1", "query", 4, 4, 3, 3),
}


@pytest.fixture
def asked(run):
    asked = write_small_round(run)
    say(asked, "anna", {name_of(1): "mixed", name_of(1, 1): 0, name_of(3): "skip", name_of(4): 2})
    return asked


def export(run, format_name):
    return export_queries(run, run.parent / format_name, format_name).folder


def boxes(dataset):
    names = [label.name for label in dataset.categories()[dm.AnnotationType.label]]
    assert names == LABELS
    return {
        box.attributes["query"]: (item.id, names[box.label], *box.get_bbox())
        for item in dataset
        for box in item.annotations
    }


@pytest.mark.parametrize("format_name", ["cvat", "coco"])
def test_datumaro_reads_an_export(run, asked, format_name):
    dataset = dm.Dataset.import_from(str(export(run, format_name)), format_name)
    assert boxes(dataset) == EXPECTED
    for item in dataset:
        assert item.media.size == SIZES[item.id]
        assert item.media.data.shape == (*SIZES[item.id], 3)


@pytest.mark.parametrize("theirs", ["cvat", "coco_instances"])
def test_what_datumaro_writes_is_read(run, asked, theirs):
    """A person answers in a tool that reads our boxes and writes its own file."""
    dataset = dm.Dataset.import_from(str(export(run, "cvat")), "cvat")
    answers = {name_of(1, 2): "sky", name_of(2): "void", name_of(5): "road"}
    items = []
    for item in dataset:
        changed = [
            box.wrap(label=LABELS.index(answers.get(box.attributes["query"], LABELS[box.label])))
            for box in item.annotations
        ]
        items.append(item.wrap(annotations=changed))
    changed = dm.Dataset.from_iterable(items, categories=dataset.categories())
    out = run.parent / "theirs"
    changed.export(str(out), theirs)
    (file,) = [path for path in out.rglob("*") if path.suffix in (".xml", ".json")]
    done = import_answers(run, file, person="bob")
    assert journal(asked, "bob") == [(name_of(1, 2), 1), (name_of(2), "void"), (name_of(5), 0)]
    assert done.known == 4


@pytest.mark.parametrize("theirs", ["cvat", "coco_instances"])
def test_what_another_run_exported_is_refused_also_after_datumaro_wrote_it(run, asked, theirs):
    other = write_small_round(run.parent / "other", centres=[("city/a", 4, 4), ("b.1", 10, 10)])
    say(other, "anna", {name_of(1): 0, name_of(2): 1})
    folder = export_queries(run.parent / "other", run.parent / "out", "cvat").folder
    out = run.parent / "theirs"
    dm.Dataset.import_from(str(folder), "cvat").export(str(out), theirs)
    (file,) = [path for path in out.rglob("*") if path.suffix in (".xml", ".json")]
    with pytest.raises(ExchangeError, match="exported from another run"):
        import_answers(run, file)


def test_masks_that_datumaro_writes_are_read(run, asked):
    """A person paints in a tool, which writes each class of an image as one mask."""
    city = np.full(SIZES["city/a"], -1)
    city[0:8, 0:8] = 1
    other = np.full(SIZES["b.1"], -1)
    other[8:11, 8:14] = 0
    other[11:13, 8:14] = 2
    dataset = dm.Dataset.from_iterable(
        [
            dm.DatasetItem(
                name,
                media=dm.Image.from_numpy(np.zeros((*codes.shape, 3), np.uint8)),
                annotations=[
                    dm.Mask(codes == label, label=label, id=label + 1, group=label + 1)
                    for label in range(3)
                    if (codes == label).any()
                ],
            )
            for name, codes in (("city/a", city), ("b.1", other))
        ],
        categories=["road", "sky", "car"],
    )
    dataset.export(str(run.parent / "theirs"), "coco_instances")
    (file,) = (run.parent / "theirs").rglob("*.json")
    import_answers(run, file, person="bob")
    # Window 2 is 9 to 12: quadrants end at row 10, so the lower ones hold both classes.
    expected = {name_of(1): 1, name_of(2): "mixed", name_of(2, 1): 0, name_of(2, 2): 0}
    expected |= {name_of(2, 3): "mixed", name_of(2, 4): "mixed", name_of(4): 1}
    assert dict(journal(asked, "bob")) == expected


def test_pycocotools_reads_an_export(run, asked):
    data = coco.COCO(str(export(run, "coco") / "annotations/instances_default.json"))
    assert [category["name"] for category in data.loadCats(data.getCatIds())] == LABELS
    found = {
        entry["attributes"]["query"]: (
            data.loadImgs(entry["image_id"])[0]["file_name"].removesuffix(".png"),
            data.loadCats(entry["category_id"])[0]["name"],
            *entry["bbox"],
        )
        for entry in data.loadAnns(data.getAnnIds())
    }
    assert found == EXPECTED
    assert [entry["area"] for entry in data.loadAnns(data.getAnnIds())][:5] == [9, 1, 2, 2, 4]


def test_run_lengths_that_pycocotools_packs_are_unpacked_alike():
    draw = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.97, 1.0):
        for shape in ((1, 1), (24, 32), (301, 17), (700, 900)):
            mask = draw.random(shape) < share
            # Long runs too, whose numbers take several characters.
            mask[: shape[0] // 2] = share > 0.4
            packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            packed["counts"] = packed["counts"].decode()
            node = Node({"segmentation": packed}, "mask")
            assert np.array_equal(pixels_of(node, shape), mask)


def test_rectangles_as_polygons_hold_what_pycocotools_says():
    draw = np.random.default_rng(1)
    for _ in range(200):
        (top, bottom), (left, right) = np.sort(draw.integers(0, 21, (2, 2)), axis=1).tolist()
        polygon = [left, top, right, top, right, bottom, left, bottom]
        node = Node({"segmentation": [polygon]}, "polygon")
        theirs = coco_mask.decode(coco_mask.frPyObjects([polygon], 20, 20))[..., 0]
        assert np.array_equal(pixels_of(node, (20, 20)), theirs.astype(bool))


def test_label_studio_accepts_the_configuration_and_the_predictions(run, asked):
    folder = export(run, "label-studio")
    config = interface.LabelInterface((folder / "config.xml").read_text())
    config.validate()
    (control,) = config.controls
    assert list(control.labels) == LABELS
    for task in json.loads((folder / "tasks.json").read_text()):
        assert config.validate_prediction(task["predictions"][0])


def test_label_studios_converter_finds_our_boxes_in_its_tasks(run, asked):
    folder = export(run, "label-studio")
    answer(folder, "label-studio", {})
    config = str(folder / "config.xml")
    theirs = converter.Converter(config, str(folder), download_resources=False)
    theirs.convert_to_coco(str(folder / "tasks.json"), str(run.parent / "theirs"), is_dir=False)
    content = json.loads((run.parent / "theirs/result.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    images = {image["id"]: image["file_name"] for image in content["images"]}
    found = sorted(
        (
            images[entry["image_id"]].partition("images/")[2].removesuffix(".png"),
            names[entry["category_id"]],
            *np.round(entry["bbox"], 9).tolist(),
        )
        for entry in content["annotations"]
    )
    assert found == sorted(EXPECTED.values())


def test_a_coco_file_of_label_studios_converter_is_read_by_the_windows(run):
    asked = write_small_round(run)
    folder = export(run, "label-studio")
    answer(folder, "label-studio", {name_of(2): "void", name_of(4): "road"})
    config = str(folder / "config.xml")
    theirs = converter.Converter(config, str(folder), download_resources=False)
    theirs.convert_to_coco(str(folder / "tasks.json"), str(run.parent / "theirs"), is_dir=False)
    done = import_answers(run, run.parent / "theirs/result.json")
    assert journal(asked, "import") == [(name_of(2), "void"), (name_of(4), 0)]
    assert done.unanswered == 3

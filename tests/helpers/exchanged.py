"""A small round that people answer, and people who answer it in the files of other tools."""

import csv
import json
from xml.etree import ElementTree

from tests.helpers.asked import make_round

from alseg.annotate.exchange import export_queries
from alseg.queries.answers import Entry, Journal

CLASSES = ("road", "sky", "car")
SIZES = {"city/a": (24, 32), "b.1": (20, 20)}
CENTRES = (("city/a", 3, 4), ("b.1", 10, 10), ("city/a", 12, 20), ("city/a", 0, 0), ("b.1", 5, 5))
FORMATS = ("png", "cvat", "coco", "label-studio")


def write_small_round(
    run, number=1, split="quadrants", classes=CLASSES, centres=CENTRES, sizes=SIZES
):
    """Write five queries in two images; number 4 is clipped by a corner to 2×2 pixels."""
    return make_round(
        run, number=number, split=split, classes=classes, centres=centres, sizes=sizes
    )


def name_of(place, part=None, number=1):
    """Return the name of the query at a place, from 1."""
    return f"r{number:03d}-q{place:06d}" + (f".{part}" if part else "")


def say(asked, person, answers):
    """Write answers into a person's file, as the labelling page does."""
    Journal(asked, person).append([Entry(name, answer) for name, answer in answers.items()])


def export(run, format_name):
    """Export the open queries of a run to a new folder beside it."""
    return export_queries(run, run.parent / f"out-{len(list(run.parent.iterdir()))}", format_name)


def answer(folder, format_name, labels):
    """Change labels, by the names of queries, in an export; return the file to import."""
    return _TOOLS[format_name](folder, dict(labels))


def _in_cvat(folder, labels):
    path = folder / "annotations.xml"
    tree = ElementTree.parse(path)
    for box in tree.iter("box"):
        name = box.find("attribute[@name='query']").text
        box.set("label", labels.pop(name, box.get("label")))
    assert not labels
    tree.write(path, encoding="utf-8", xml_declaration=True)
    return path


def _in_coco(folder, labels):
    path = folder / "annotations/instances_default.json"
    content = json.loads(path.read_text())
    numbers = {category["name"]: category["id"] for category in content["categories"]}
    numbers.setdefault("rode", 99)
    for annotation in content["annotations"]:
        name = annotation["attributes"]["query"]
        if name in labels:
            annotation["category_id"] = numbers[labels.pop(name)]
    assert not labels
    content["categories"].append({"id": 99, "name": "rode"})
    path.write_text(json.dumps(content))
    return path


def _in_label_studio(folder, labels):
    """Submit every task: the prediction becomes an annotation with some labels changed."""
    path = folder / "tasks.json"
    tasks = json.loads(path.read_text())
    for task in tasks:
        result = json.loads(json.dumps(task["predictions"][0]["result"]))
        for region in result:
            if region["id"] in labels:
                region["value"]["rectanglelabels"] = [labels.pop(region["id"])]
        task["annotations"] = [{"id": task["id"], "completed_by": 1, "result": result}]
    assert not labels
    path.write_text(json.dumps(tasks))
    return path


def _in_png(folder, labels):
    path = folder / "queries.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    for row in rows:
        row["answer"] = labels.pop(row["query"], row["answer"])
    assert not labels
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


_TOOLS = {
    "cvat": _in_cvat,
    "coco": _in_coco,
    "label-studio": _in_label_studio,
    "png": _in_png,
}

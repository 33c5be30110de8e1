"""Boxes that people moved, copied, drew or misnamed, in the three formats that have boxes."""

import json
import re
import zipfile
from xml.etree import ElementTree

import pytest
from tests.helpers.archives import digests
from tests.helpers.asked import journal
from tests.helpers.exchanged import answer, export, name_of

from alseg.annotate.exchange import import_answers
from alseg.errors import ExchangeError

every_format = pytest.mark.parametrize("format_name", ["cvat", "coco", "label-studio"])


class Boxes:
    """The boxes of a file, to edit as in the tool: sides in pixels, label and name."""

    def __init__(self, path, format_name):
        self.format_name = format_name
        self.path = path
        if format_name == "cvat":
            self.tree = ElementTree.parse(self.path)
            self.images = list(self.tree.iter("image"))
        else:
            self.content = json.loads(self.path.read_text())

    def _find(self, name):
        if self.format_name == "cvat":
            found = [(image, box) for image in self.images for box in image.iter("box")]
            return next(pair for pair in found if pair[1].find("attribute").text == name)
        if self.format_name == "coco":
            boxes = self.content["annotations"]
            return boxes, next(box for box in boxes if box["attributes"]["query"] == name)
        lists = [task["annotations"][0]["result"] for task in self.content]
        return next((boxes, box) for boxes in lists for box in boxes if box["id"] == name)

    def place(self, name, left, top, right, bottom):
        box = self._find(name)[1]
        if self.format_name == "cvat":
            box.attrib.update(xtl=str(left), ytl=str(top), xbr=str(right), ybr=str(bottom))
        elif self.format_name == "coco":
            box["bbox"] = [left, top, right - left, bottom - top]
        else:
            width, height = box["original_width"] / 100, box["original_height"] / 100
            box["value"].update(x=left / width, y=top / height)
            box["value"].update(width=(right - left) / width, height=(bottom - top) / height)

    def rename(self, name, new):
        box = self._find(name)[1]
        if self.format_name == "cvat":
            box.find("attribute").text = new
        elif self.format_name == "coco":
            box["attributes"]["query"] = new
        else:
            box.update(id=new or "Dx_aB91ISN", meta={"text": [new]})

    def copy(self, name, label):
        boxes, box = self._find(name)
        twin = (
            ElementTree.fromstring(ElementTree.tostring(box))
            if self.format_name == "cvat"
            else (json.loads(json.dumps(box)))
        )
        boxes.append(twin)
        if self.format_name == "cvat":
            twin.set("label", label)
        elif self.format_name == "coco":
            numbers = {entry["name"]: entry["id"] for entry in self.content["categories"]}
            twin["category_id"] = numbers[label]
        else:
            twin["value"]["rectanglelabels"] = [label]

    def resize_images(self):
        if self.format_name == "cvat":
            self.images[0].set("width", "33")
        elif self.format_name == "coco":
            self.content["images"][0]["width"] = 33
        else:
            self.content[0]["annotations"][0]["result"][0]["original_width"] = 33

    def move_to_other_image(self, name):
        parent, box = self._find(name)
        if self.format_name == "cvat":
            parent.remove(box)
            next(image for image in self.images if image is not parent).append(box)
        elif self.format_name == "coco":
            box["image_id"] = 3 - box["image_id"]
        else:
            parent.remove(box)
            lists = [task["annotations"][0]["result"] for task in self.content]
            other = next(boxes for boxes in lists if boxes is not parent)
            box.update({key: other[0][key] for key in ("original_width", "original_height")})
            other.append(box)

    def save(self):
        if self.format_name == "cvat":
            self.tree.write(self.path, encoding="utf-8")
        else:
            self.path.write_text(json.dumps(self.content))
        return self.path


@pytest.fixture
def boxes(run, asked, format_name):
    folder = export(run, format_name).folder
    return Boxes(answer(folder, format_name, {name_of(1): "road"}), format_name)


def refused(run, boxes, words):
    before = digests(run)
    with pytest.raises(ExchangeError, match=words) as caught:
        import_answers(run, boxes.save())
    assert digests(run) == before
    assert str(boxes.path) in str(caught.value)


@every_format
@pytest.mark.parametrize("sides", [(2.4, 1.3, 5.9, 4.6), (4.5, 2.5, 40, 30), (4, 3, 5, 4)])
def test_a_box_that_still_covers_the_centre_is_its_query(run, asked, boxes, sides):
    boxes.place(name_of(1), *sides)
    import_answers(run, boxes.save())
    assert journal(asked, "import") == [(name_of(1), 0)]


@every_format
@pytest.mark.parametrize("sides", [(4.6, 2, 7, 5), (3, 3.6, 6, 6), (3, 2, 4.4, 5), (3, 0, 6, 3.4)])
def test_a_box_that_no_longer_covers_the_centre_is_refused(run, asked, boxes, sides):
    boxes.place(name_of(1), *sides)
    refused(run, boxes, rf"{name_of(1)}, .* no longer covers the centre of the query at 4\.5, 3\.5")


@every_format
def test_a_box_without_a_name_is_the_query_whose_window_it_is(run, asked, boxes):
    boxes.rename(name_of(1), "")
    import_answers(run, boxes.save())
    assert journal(asked, "import") == [(name_of(1), 0)]


@every_format
def test_a_box_without_a_name_that_is_no_window_is_refused(run, asked, boxes):
    boxes.rename(name_of(1), "")
    boxes.place(name_of(2), 8, 9, 12, 12)
    boxes.rename(name_of(2), "")
    refused(run, boxes, "does not say which query it answers, and it is not the window of one")


@every_format
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("r001-q000099", "round 1 has no query 'r001-q000099'; its queries are r001-q000001 to"),
        ("r001-q000001.5", "has no query 'r001-q000001.5'"),
        ("r007-q000001", "is of round 7; answers are taken for round 1 alone"),
    ],
)
def test_a_query_that_was_not_asked_is_refused(run, asked, boxes, name, words):
    boxes.rename(name_of(1), name)
    refused(run, boxes, re.escape(words))


@every_format
def test_two_answers_to_one_query_are_refused(run, asked, boxes):
    boxes.copy(name_of(1), "car")
    refused(run, boxes, f"{name_of(1)} has two answers, road and car")


@every_format
def test_the_same_answer_twice_is_one(run, asked, boxes):
    boxes.copy(name_of(1), "road")
    boxes.copy(name_of(2), "query")
    import_answers(run, boxes.save())
    assert journal(asked, "import") == [(name_of(1), 0)]


@every_format
def test_a_class_that_does_not_exist_is_answered_with_the_nearest(run, asked, format_name):
    folder = export(run, format_name).folder
    labels = {name_of(1): "car", name_of(2): "rode"}
    file = answer(folder, format_name, labels)
    before = digests(run)
    with pytest.raises(ExchangeError, match="no class is called 'rode'. Did you mean 'road'"):
        import_answers(run, file)
    assert digests(run) == before


@every_format
def test_an_image_of_another_size_is_refused(run, asked, boxes):
    boxes.resize_images()
    refused(run, boxes, r"is 33x24 pixels .*city/a, which is asked about, is 32x24")


@every_format
def test_a_query_in_another_image_is_refused(run, asked, boxes):
    boxes.move_to_other_image(name_of(3))
    refused(run, boxes, f"{name_of(3)}, which lies in the image city/a, not in b.1")


@every_format
def test_a_box_without_an_extent_is_refused(run, asked, boxes):
    boxes.place(name_of(1), 4, 3, 4, 3)
    refused(run, boxes, "is no box")


@every_format
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_numbers_that_are_none_are_refused(run, asked, boxes, number):
    boxes.place(name_of(1), 3.0, 2.25, 6.0, 5.0)
    text = boxes.save().read_text()
    boxes.save = lambda: boxes.path
    wrong = re.sub(r'(?<=[ "])(2\.25|9\.375)(?=[",])', number, text)
    assert wrong != text
    boxes.path.write_text(wrong)
    refused(run, boxes, "is no number|is no box")


@every_format
def test_the_archive_that_a_tool_lets_one_download_is_read(run, asked, boxes):
    archive = run.parent / "download.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(boxes.save(), "annotations/" + boxes.path.name)
        file.writestr("images/city/a.png", b"\x89PNG")
    assert import_answers(run, archive).format_name == boxes.format_name
    assert journal(asked, "import") == [(name_of(1), 0)]

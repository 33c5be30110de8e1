"""COCO instances: a JSON file of boxes; on the way in, masks of any shape too.

Attributes are written as CVAT and datumaro do, in an object ``attributes`` of each annotation.
https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alseg.annotate.exchange.collector import Box, Collector
from alseg.annotate.exchange.masks import NOTHING
from alseg.annotate.exchange.names import file_name
from alseg.annotate.exchange.outgoing import Outgoing
from alseg.annotate.exchange.segmentations import pixels_of, shape_of
from alseg.annotate.exchange.shapes import Node
from alseg.annotate.exchange.source import Source
from alseg.annotate.exchange.stamp import STAMP
from alseg.annotate.exchange.words import ATTRIBUTE
from alseg.config.answer_keys import OTHERS, SKIP, VOID
from alseg.data.label_space import IGNORE
from alseg.errors import ExchangeError
from alseg.queries.asked import AskedImage

# Where CVAT and datumaro look for it; COCO's own folder is called the same.
ANNOTATIONS = "annotations/instances_default.json"


def write(folder: Path, outgoing: Outgoing) -> tuple[str, ...]:
    """Write ``annotations/instances_default.json`` into a folder.

    Returns:
        The file to give to the tool, relative to the folder.
    """
    # Category 0 is nothing to datumaro and CVAT.
    numbers = {word: number for number, word in enumerate(outgoing.words.all, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(outgoing.asked.images.values(), start=1):
        images.append(
            {
                "id": number,
                "file_name": file_name(image),
                "width": image.width,
                "height": image.height,
            }
        )
        for window, word in outgoing.boxes(image.id):
            box = (window.left, window.top, window.right - window.left, window.bottom - window.top)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": numbers[word],
                    "segmentation": [],
                    "area": window.box.pixels,
                    "bbox": box,
                    "iscrowd": 0,
                    "attributes": {ATTRIBUTE: window.id, STAMP: str(outgoing.stamp)},
                }
            )
        for mask in outgoing.masks(image.id):
            for value in np.unique(mask).tolist():
                # What a mask leaves out is void when it comes back; a mask of void alone is said.
                if value == IGNORE and (mask != IGNORE).any():
                    continue
                word = VOID if value == IGNORE else outgoing.words.word(value)
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": numbers[word],
                        **shape_of(mask == value),
                        "iscrowd": 1,
                        "attributes": {STAMP: str(outgoing.stamp)},
                    }
                )
    content = {
        "info": {
            "description": f"queries of round {outgoing.asked.number}",
            STAMP: str(outgoing.stamp),
        },
        "licenses": [],
        "categories": [
            {"id": number, "name": word, "supercategory": ""} for word, number in numbers.items()
        ],
        "images": images,
        "annotations": annotations,
    }
    path = folder / ANNOTATIONS
    path.parent.mkdir()
    with path.open("w", encoding="utf-8") as file:
        # Not json.dump, which writes number by number.
        file.write(json.dumps(content, ensure_ascii=False))
    return (ANNOTATIONS,)


def read(source: Source, collector: Collector) -> None:
    """Read a file of instances.

    An annotation with the name of a query answers it by its category. One without a name is a mask
    if it has a shape, and must otherwise be the window of a query.

    Raises:
        ExchangeError: It is damaged, or answers what was not asked.
    """
    content = Node(source.json, str(source.path))
    info = content.raw("info")
    if isinstance(info, dict):
        collector.note(info.get(STAMP), f"{source.path}, info")
    for key in ("images", "categories", "annotations"):
        if not isinstance(content.raw(key), list):
            raise source.wrong(f"COCO has a list {key!r}, which is missing here")
    names: dict[int | str, str] = {}
    for category in content.nodes("categories", "category"):
        names[category.name("id")] = category.text("name")
    images: dict[int | str, tuple[str, AskedImage | None]] = {}
    for entry in content.nodes("images", "image"):
        name = entry.text("file_name")
        images[entry.name("id")] = (name, collector.image(name, _size(entry), entry.where))
    painted: dict[str, list[tuple[Node, str]]] = {}
    for annotation in content.nodes("annotations", "annotation"):
        label, (name, image) = _named(annotation, names, images)
        query, stamp = _attributes(annotation)
        collector.note(stamp, annotation.where)
        shape = annotation.raw("segmentation")
        if query or not shape:
            left, top, width, height = annotation.numbers("bbox", 4)
            box = Box(left, top, left + width, top + height)
            collector.add_box(query, label, box, image, annotation.where)
        else:
            known = image or collector.known_image(name, annotation.where)
            painted.setdefault(known.id, []).append((annotation, label))
    for image_id, shapes in painted.items():
        known = collector.asked.images[image_id]
        if collector.asked.region.is_painted and _skips(shapes, collector):
            for whole in collector.asked.by_image[image_id]:
                collector.add(whole.id, SKIP, shapes[0][0].where)
            continue
        collector.add_mask(known, _paint(known, shapes, collector))


def _size(entry: Node) -> tuple[float, float] | None:
    if entry.raw("height") is None or entry.raw("width") is None:
        return None
    return entry.number("height"), entry.number("width")


def _named(
    annotation: Node,
    names: dict[int | str, str],
    images: dict[int | str, tuple[str, AskedImage | None]],
) -> tuple[str, tuple[str, AskedImage | None]]:
    category, image = annotation.name("category_id"), annotation.name("image_id")
    if category not in names:
        raise annotation.wrong(f"has the category {category!r:.40}, which is not in the file")
    if image not in images:
        raise annotation.wrong(f"lies in the image {image!r:.40}, which is not in the file")
    return names[category], images[image]


def _attributes(annotation: Node) -> tuple[str, str]:
    """Return the name of an annotation's query and its stamp, each empty where there is none."""
    if annotation.raw("attributes") in (None, [], ""):
        return "", ""
    attributes = annotation.node("attributes")
    stamp = attributes.raw(STAMP)
    return attributes.text(ATTRIBUTE, default="").strip(), stamp if isinstance(stamp, str) else ""


def _skips(shapes: list[tuple[Node, str]], collector: Collector) -> bool:
    """Whether the shapes of a whole image say that it is skipped.

    Raises:
        ExchangeError: Some do, and others say what is there.
    """
    skips = [collector.words.answer(label, node.where) == SKIP for node, label in shapes]
    if any(skips) and not all(skips):
        raise ExchangeError(
            f"{shapes[skips.index(True)][0].where}: the image is skipped, and other shapes in it "
            "have a class. Delete the one or the others."
        )
    return all(skips)


def _paint(
    image: AskedImage, shapes: list[tuple[Node, str]], collector: Collector
) -> NDArray[np.int16]:
    """Return what each pixel of an image is; where masks overlap, the later one counts."""
    codes = np.full((image.height, image.width), NOTHING, dtype=np.int16)
    for annotation, label in shapes:
        code: Any = collector.words.answer(label, annotation.where)
        if code is None:
            continue
        if code == VOID:
            code = len(collector.asked.classes)
        elif code in OTHERS:
            raise ExchangeError(
                f"{annotation.where}: a mask cannot be {code}; that is said of a box that was "
                "exported. Give the mask a class, or delete it."
            )
        codes[pixels_of(annotation, codes.shape)] = code
    return codes

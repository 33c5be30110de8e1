"""Label Studio: tasks with rectangles as predictions, and the labelling configuration beside them.

https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from alseg.annotate.exchange.collector import Box, Collector
from alseg.annotate.exchange.names import file_name
from alseg.annotate.exchange.outgoing import IMAGES, Outgoing
from alseg.annotate.exchange.shapes import Node, nodes
from alseg.annotate.exchange.source import Source
from alseg.annotate.exchange.stamp import STAMP
from alseg.annotate.exchange.words import QUERY, hex_colors
from alseg.errors import ExchangeError
from alseg.queries.asked import AskedImage, Query

TASKS, CONFIG = "tasks.json", "config.xml"
CONTROL, OBJECT, KEY = "label", "image", "image"
KIND = "rectanglelabels"
OTHER_KINDS = ("brushlabels", "ellipselabels", "keypointlabels", "polygonlabels", "vectorlabels")


def write(folder: Path, outgoing: Outgoing) -> tuple[str, ...]:
    """Write ``config.xml`` and ``tasks.json`` into a folder.

    Returns:
        The files to give to Label Studio, relative to the folder.
    """
    colors = hex_colors(outgoing.words, outgoing.asked.colors)
    labels = "".join(
        f"    <Label value={quoteattr(word)} background={quoteattr(color)}/>\n"
        for word, color in zip(outgoing.words.all, colors, strict=True)
    )
    kind, turns = ("Polygon", "") if outgoing.is_painted else ("Rectangle", ' canRotate="false"')
    config = (
        f'<View>\n  <Image name="{OBJECT}" value="${KEY}" zoom="true" zoomControl="true"/>\n'
        f'  <{kind}Labels name="{CONTROL}" toName="{OBJECT}"{turns}>\n{labels}'
        f"  </{kind}Labels>\n</View>\n"
    )
    (folder / CONFIG).write_text(config, encoding="utf-8")
    tasks = [
        _task(number, image, outgoing)
        for number, image in enumerate(outgoing.asked.images.values(), start=1)
    ]
    text = json.dumps(tasks, ensure_ascii=False)
    (folder / TASKS).write_text(text + "\n", encoding="utf-8")
    return (CONFIG, TASKS)


def _task(number: int, image: AskedImage, outgoing: Outgoing) -> dict[str, Any]:
    return {
        "id": number,
        # How Label Studio addresses files below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
        "data": {
            KEY: f"/data/local-files/?d={quote(f'{IMAGES}/{file_name(image)}')}",
            STAMP: str(outgoing.stamp),
        },
        "predictions": [
            {
                "model_version": f"round {outgoing.asked.number}",
                "result": [_region(*window, image) for window in outgoing.boxes(image.id)],
            }
        ],
    }


def _region(window: Query, word: str, image: AskedImage) -> dict[str, Any]:
    return {
        "id": window.id,
        "type": KIND,
        "from_name": CONTROL,
        "to_name": OBJECT,
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {
            "x": 100 * window.left / image.width,
            "y": 100 * window.top / image.height,
            "width": 100 * (window.right - window.left) / image.width,
            "height": 100 * (window.bottom - window.top) / image.height,
            "rotation": 0,
            KIND: [word],
        },
        "meta": {"text": [window.id]},
    }


def read(source: Source, collector: Collector) -> None:
    """Read tasks as Label Studio exports them; what counts are the annotations.

    Raises:
        ExchangeError: They are damaged, or answer what was not asked.
    """
    for task in nodes(source.json, f"{source.path}, task"):
        if task.raw("data") is None:
            raise source.wrong(
                "its tasks have no 'data'; of Label Studio's formats, JSON is read and JSON-MIN is "
                "not"
            )
        data = task.node("data")
        name = _image_name(data)
        collector.note(data.raw(STAMP), task.where)
        for annotation in task.nodes("annotations", "annotation"):
            if annotation.raw("was_cancelled") or annotation.raw("skipped"):
                continue
            for region in annotation.nodes("result", "region"):
                _read_region(region, name, collector)


def _image_name(data: Node) -> str:
    """Return the path of the image that an address names."""
    address = data.text(KEY, default="")
    try:
        parts = urlsplit(address)
        local = parse_qs(parts.query).get("d")
    except ValueError:
        return address
    return local[0] if local else unquote(parts.path)


def _read_region(region: Node, name: str, collector: Collector) -> None:
    kind = region.raw("type")
    if kind in OTHER_KINDS and collector.asked.region.is_painted:
        raise ExchangeError(
            f"{region.where}: {kind} are not read from Label Studio's JSON. Export them there as "
            "COCO and import that file."
        )
    if kind in OTHER_KINDS:
        raise ExchangeError(
            f"{region.where}: {kind} are no answer; only the rectangles that were exported are. "
            "Delete the region in the tool."
        )
    if kind not in (KIND, "rectangle"):
        # A remark, a choice or a relation beside the regions.
        return
    value = region.node("value")
    size = region.number("original_height"), region.number("original_width")
    image = collector.image(name, size, region.where)
    left, top = (value.number(key) * side / 100 for key, side in zip("xy", size[::-1], strict=True))
    width = value.number("width") * size[1] / 100
    height = value.number("height") * size[0] / 100
    labels = value.raw(KIND) or [QUERY]
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise region.wrong("has more than one label, or something else in its place")
    box = Box(left, top, left + width, top + height)
    collector.add_box(_query(region, collector), labels[0], box, image, region.where)


def _query(region: Node, collector: Collector) -> str:
    """Return the name of a region's query.

    Label Studio keeps the identifier of a region where a prediction becomes an annotation, but
    gives a new one to a copy; what is known about the region stays with it.
    """
    identifier = region.text("id", default="").partition("#")[0]
    meta = region.raw("meta")
    said = meta.get("text") if isinstance(meta, dict) else None
    texts = said if isinstance(said, list) else [said]
    names = [text.strip() for text in texts if isinstance(text, str)]
    return next((name for name in (identifier, *names) if collector.is_name(name)), "")

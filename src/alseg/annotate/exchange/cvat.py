"""CVAT for images 1.1: an XML file of boxes, beside the list of labels that a task is made with.

The elements are those that CVAT itself writes; https://docs.cvat.ai/docs/other/xml_format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from alseg.annotate.exchange.collector import Box, Collector
from alseg.annotate.exchange.names import file_name
from alseg.annotate.exchange.outgoing import Outgoing
from alseg.annotate.exchange.source import Source
from alseg.annotate.exchange.stamp import STAMP
from alseg.annotate.exchange.words import ATTRIBUTE, hex_colors
from alseg.errors import ExchangeError
from alseg.queries.asked import AskedImage

ANNOTATIONS, LABELS = "annotations.xml", "labels.json"
ATTRIBUTES = (ATTRIBUTE, STAMP)
OTHER_SHAPES = ("cuboid", "ellipse", "mask", "points", "polygon", "polyline", "skeleton")
SIDES = ("xtl", "ytl", "xbr", "ybr")


def write(folder: Path, outgoing: Outgoing) -> tuple[str, ...]:
    """Write ``annotations.xml`` and ``labels.json`` into a folder.

    Returns:
        The files to give to CVAT, relative to the folder.
    """
    labels = [
        {
            "name": word,
            "color": color,
            "type": _kind(outgoing),
            "attributes": [
                {
                    "name": name,
                    "mutable": False,
                    "input_type": "text",
                    "default_value": "",
                    "values": [""],
                }
                for name in ATTRIBUTES
            ],
        }
        for word, color in _labels(outgoing)
    ]
    text = json.dumps(labels, indent=2, ensure_ascii=False) + "\n"
    (folder / LABELS).write_text(text, encoding="utf-8")
    with (folder / ANNOTATIONS).open("w", encoding="utf-8", newline="\n") as file:
        _write_head(file, outgoing)
        for number, image in enumerate(outgoing.asked.images.values()):
            file.writelines(_image(number, image, outgoing))
        file.write("</annotations>\n")
    return (LABELS, ANNOTATIONS)


def _kind(outgoing: Outgoing) -> str:
    """Return which shapes a label is for."""
    return "any" if outgoing.is_painted else "rectangle"


def _labels(outgoing: Outgoing) -> Iterator[tuple[str, str]]:
    words = outgoing.words
    return zip(words.all, hex_colors(words, outgoing.asked.colors), strict=True)


def _write_head(file: TextIO, outgoing: Outgoing) -> None:
    asked = outgoing.asked
    file.write(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"  <meta>\n    <task>\n      <name>round {asked.number}</name>\n"
        f"      <size>{len(asked.images)}</size>\n"
        "      <mode>annotation</mode>\n      <overlap>0</overlap>\n      <labels>\n"
    )
    attributes = "".join(
        f"            <attribute>\n              <name>{name}</name>\n"
        "              <mutable>False</mutable>\n"
        "              <input_type>text</input_type>\n"
        "              <default_value></default_value>\n              <values></values>\n"
        "            </attribute>\n"
        for name in ATTRIBUTES
    )
    for word, color in _labels(outgoing):
        file.write(
            f"        <label>\n          <name>{escape(word)}</name>\n"
            f"          <color>{color}</color>\n          <type>{_kind(outgoing)}</type>\n"
            f"          <attributes>\n{attributes}          </attributes>\n        </label>\n"
        )
    file.write("      </labels>\n    </task>\n  </meta>\n")


def _image(number: int, image: AskedImage, outgoing: Outgoing) -> Iterator[str]:
    name = quoteattr(file_name(image))
    yield f'  <image id="{number}" name={name} width="{image.width}" height="{image.height}">\n'
    for window, word in outgoing.boxes(image.id):
        yield (
            f'    <box label={quoteattr(word)} source="file" occluded="0" '
            f'xtl="{window.left:.2f}" ytl="{window.top:.2f}" xbr="{window.right:.2f}" '
            f'ybr="{window.bottom:.2f}" z_order="0">\n'
            f'      <attribute name="{ATTRIBUTE}">{window.id}</attribute>\n'
            f'      <attribute name="{STAMP}">{outgoing.stamp}</attribute>\n    </box>\n'
        )
    yield "  </image>\n"


def read(source: Source, collector: Collector) -> None:
    """Read a file as CVAT writes it.

    Raises:
        ExchangeError: It is damaged, or answers what was not asked.
    """
    _Reader(source, collector).read()


class _Reader:
    """Takes the elements of a file one by one; nothing is kept but the box at hand."""

    def __init__(self, source: Source, collector: Collector) -> None:
        self._source = source
        self._collector = collector
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text_of_attribute
        # Without a DTD there are no entities, neither those that blow up nor those of other files.
        self._parser.StartDoctypeDeclHandler = self._refuse_dtd
        self._depth = 0
        self._image: AskedImage | None = None
        self._box: dict[str, str] | None = None
        self._attributes: dict[str, list[str]] = {}
        self._attribute = ""

    def read(self) -> None:
        try:
            self._parser.Parse(self._source.data, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise self._source.wrong(f"it is no XML, or was cut short ({error})") from error

    @property
    def _where(self) -> str:
        return f"{self._source.path}, line {self._parser.CurrentLineNumber}"

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and tag != "annotations":
            raise self._source.wrong(
                f"CVAT's first element is <annotations>, this one's <{tag:.40}>"
            )
        if tag == "track":
            raise ExchangeError(
                f"{self._where}: tracks are of a video. Export as `CVAT for images 1.1`."
            )
        if self._depth == 2 and tag == "image":
            self._open_image(attributes)
        elif self._depth == 3 and tag == "box":
            self._box = attributes
            self._attributes = {name: [] for name in ATTRIBUTES}
        elif self._depth == 3 and tag in OTHER_SHAPES:
            if self._collector.asked.region.is_painted:
                raise ExchangeError(
                    f"{self._where}: a {tag} is not read from CVAT's own XML. Export the job as "
                    "COCO 1.0 and import that file."
                )
            raise ExchangeError(
                f"{self._where}: a {tag} is no answer; only the boxes that were exported are. "
                "Delete it in the tool; for masks of any shape, export as COCO."
            )
        elif self._box is not None and tag == "attribute":
            self._attribute = attributes.get("name", "")

    def _open_image(self, attributes: dict[str, str]) -> None:
        size = None
        if "width" in attributes and "height" in attributes:
            size = (self._whole(attributes, "height"), self._whole(attributes, "width"))
        name = attributes.get("name", "")
        self._image = self._collector.image(name, size, self._where)

    def _text_of_attribute(self, text: str) -> None:
        if self._box is not None and self._attribute in ATTRIBUTES:
            self._attributes[self._attribute].append(text)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if tag == "attribute":
            self._attribute = ""
        elif tag == "box" and self._box is not None and self._depth == 2:
            self._close_box(self._box)
            self._box = None

    def _close_box(self, attributes: dict[str, str]) -> None:
        box = Box(*(self._number(attributes, side) for side in SIDES))
        label = attributes.get("label", "")
        name, stamp = ("".join(self._attributes[name]).strip() for name in ATTRIBUTES)
        self._collector.add_box(name, label, box, self._image, self._where)
        self._collector.note(stamp, self._where)

    def _number(self, attributes: dict[str, str], name: str) -> float:
        try:
            return float(attributes[name])
        except (KeyError, ValueError) as error:
            raise ExchangeError(
                f"{self._where}: {name} is {attributes.get(name, 'missing')!r:.40}, no number. "
                "Export the file from the tool again."
            ) from error

    def _whole(self, attributes: dict[str, str], name: str) -> int:
        value = self._number(attributes, name)
        return int(value) if value.is_integer() else -1

    def _refuse_dtd(self, *_: object) -> None:
        raise self._source.wrong("it has a document type, which CVAT never writes")

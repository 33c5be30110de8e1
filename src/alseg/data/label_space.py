"""Label spaces: the ordered classes that train ids stand for, stored as YAML beside this file."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from alseg.config.answer_keys import OTHERS, VOID
from alseg.errors import DatasetError, did_you_mean

IGNORE = 255
"""The train id of void pixels and of pixels that nobody was asked for."""

_GOLDEN = 0.618034
_AS_VOID = " and give its value as `VALUE: void` in the `mapping`"


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a task: train id ``i`` is ``classes[i]``, drawn in ``colors[i]`` (RGB).

    Attributes:
        name: What the space is called, such as ``cityscapes19``.
        classes: The classes' names in the order of their train ids.
        colors: One RGB colour per class.
        aliases: Pairs of a name that other spaces use and the class of this space that takes it
            in, such as ``("vegetation", "tree")``.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    aliases: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) < IGNORE:
            raise DatasetError(
                f"Label space {self.name!r} has {len(self.classes)} classes; 1 to {IGNORE - 1} fit "
                f"into 8-bit labels, in which {IGNORE} is void."
            )
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if repeated:
            raise DatasetError(
                f"Label space {self.name!r} names {', '.join(map(repr, repeated))} more than once; "
                "give every class a name of its own."
            )
        for name in self.classes:
            if answer := OTHERS.get(name.strip().casefold()):
                raise DatasetError(
                    f"Label space {self.name!r} has a class called {name!r}, which stands for "
                    f"{answer.meaning}. If that is what you mean, take it out of the classes"
                    f"{_AS_VOID if answer.word == VOID else ''}. "
                    f"If it is a class to be learnt, call it otherwise, such as 'other'."
                )
        if len(self.colors) != len(self.classes):
            raise DatasetError(
                f"Label space {self.name!r} has {len(self.classes)} classes but "
                f"{len(self.colors)} colours; give every class one RGB colour."
            )

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> LabelSpace:
        """Return the label space that ``plain`` wrote."""
        return cls(
            name=content["name"],
            classes=tuple(content["classes"]),
            colors=tuple((int(r), int(g), int(b)) for r, g, b in content["colors"]),
            aliases=tuple((alias, name) for alias, name in content["aliases"]),
        )

    @property
    def plain(self) -> dict[str, Any]:
        """The label space in strings, numbers and lists, as checkpoints hold it."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "colors": [list(color) for color in self.colors],
            "aliases": [list(pair) for pair in self.aliases],
        }

    @property
    def palette(self) -> NDArray[np.uint8]:
        """The colours of all 256 label values as 256×3; void and unused values are black."""
        palette = np.zeros((256, 3), dtype=np.uint8)
        palette[: len(self)] = self.colors
        return palette

    def ids(self, classes: Sequence[str]) -> list[int]:
        """Return the train ids of the named classes.

        Raises:
            DatasetError: A name is not a class of this space.
        """
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            raise DatasetError(
                f"Label space {self.name!r} has no class {', '.join(map(repr, unknown))}; "
                f"its classes are {', '.join(self.classes)}."
            )
        return [self.classes.index(name) for name in classes]

    def table_to(self, other: LabelSpace) -> NDArray[np.uint8]:
        """Return the 256 values that turn train ids of this space into those of ``other``.

        Classes are matched by name, then by the aliases of ``other``; the rest become void.

        Raises:
            DatasetError: The two spaces share no class.
        """
        table = np.full(256, IGNORE, dtype=np.uint8)
        aliases = dict(other.aliases)
        for train_id, name in enumerate(self.classes):
            target = name if name in other.classes else aliases.get(name)
            if target is not None:
                table[train_id] = other.classes.index(target)
        if (table == IGNORE).all():
            raise DatasetError(
                f"Label space {other.name!r} shares no class with {self.name!r}. "
                f"{self.name!r} has {', '.join(self.classes)}; "
                f"{other.name!r} has {', '.join(other.classes)}. "
                "Ask for a label space that names classes of the data."
            )
        return table


def available_label_spaces() -> list[str]:
    """Return the names of the label spaces that come with alseg."""
    folder = files(__package__).joinpath("label_spaces")
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def load_label_space(name: str) -> LabelSpace:
    """Load one of the label spaces that come with alseg.

    Raises:
        DatasetError: There is no label space of that name.
    """
    if name not in available_label_spaces():
        raise DatasetError(
            f"No label space is called {name!r}.{did_you_mean(name, available_label_spaces())} "
            f"Available: {', '.join(available_label_spaces())}."
        )
    entries = read_package_yaml(f"label_spaces/{name}.yaml")["classes"]
    return LabelSpace(
        name=name,
        classes=tuple(entry["name"] for entry in entries),
        colors=tuple(rgb(entry["color"]) for entry in entries),
        aliases=tuple(
            (alias, entry["name"]) for entry in entries for alias in entry.get("also", ())
        ),
    )


def distinct_color(position: int) -> tuple[int, int, int]:
    """Return an RGB colour for a class: the hues go round by the golden ratio.

    Neighbours in the list of classes differ.
    """
    value = 0.95 if position % 2 == 0 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(position * _GOLDEN % 1.0, 0.75, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def read_package_yaml(path: str) -> Any:
    """Return the content of a YAML file that lies in this package, by its path inside it."""
    resource = files(__package__).joinpath(*path.split("/"))
    return yaml.safe_load(resource.read_text(encoding="utf-8"))


def rgb(value: object) -> tuple[int, int, int]:
    """Read a colour written as three numbers from 0 to 255.

    Raises:
        DatasetError: The value is anything else.
    """
    if (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in value)
    ):
        return value[0], value[1], value[2]
    raise DatasetError(f"A colour is three numbers from 0 to 255, such as [128, 64, 128]: {value}.")

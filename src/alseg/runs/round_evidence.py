"""The file of what the report wants to know of a round: written by the run, read by comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from alseg.runs.analysis import Sums, checked

FORMAT = 1

Picture = TypeVar("Picture")


@dataclass(frozen=True)
class RoundEvidence(Generic[Picture]):
    """What a run wrote down about one round.

    Attributes:
        number: The round, from 1.
        classes: The names of the classes.
        rim: The largest hyperbolic radius that can be told; None for other networks.
        images: The images that were pictured, and their small pictures by kind: where they are, in
            the file by their paths in its folder.
        sums: See ``alseg.runs.analysis``.
    """

    number: int
    classes: tuple[str, ...]
    rim: float | None
    images: tuple[tuple[str, dict[str, Picture]], ...]
    sums: Sums

    def encode(self) -> bytes:
        """Return the content of the file."""
        content = {
            "format": FORMAT,
            "round": self.number,
            "classes": list(self.classes),
            "rim": self.rim,
            "images": [{"id": name, "panels": panels} for name, panels in self.images],
            "sums": {name: values.tolist() for name, values in self.sums.items()},
        }
        return (json.dumps(content) + "\n").encode()

    @classmethod
    def decode(cls, text: str, picture: Callable[[str], Picture]) -> RoundEvidence[Picture]:
        """Return what ``encode`` was given.

        Args:
            text: The content of the file, which may be anything.
            picture: Returns where a picture is, by its path in the folder.

        Raises:
            KeyError: Something is missing.
            AttributeError, OverflowError, RecursionError, TypeError, ValueError: It is the file of
                no round.
        """
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(
                f"it has format {content['format']!r}, and format {FORMAT} is read here"
            )
        classes = tuple(map(str, content["classes"]))
        images = tuple(
            (str(image["id"]), {kind: picture(name) for kind, name in image["panels"].items()})
            for image in content["images"]
        )
        rim = None if content["rim"] is None else float(content["rim"])
        if not classes or (rim is not None and not (math.isfinite(rim) and rim > 0)):
            raise ValueError("it has no classes, or a rim that is no length")
        sums = checked(content["sums"], len(classes))
        return RoundEvidence(int(content["round"]), classes, rim, images, sums)

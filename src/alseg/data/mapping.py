"""From the values found in label files to train ids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from alseg.config.answer_keys import VOID
from alseg.data.label_space import IGNORE, LabelSpace, read_package_yaml
from alseg.errors import DatasetError, did_you_mean

_OUTSIDE = -1
_NAMED = 6


class LabelMapping:
    """The values that label files may hold and the class that each stands for."""

    def __init__(self, names: Mapping[int, str], space: LabelSpace) -> None:
        """Build the table from values to train ids.

        Args:
            names: For each allowed value, 0 to 65535, a class of ``space`` or ``void``.
            space: The classes.

        Raises:
            DatasetError: A value is no such number, or a name is neither a class nor ``void``.
        """
        self.space = space
        self._table = np.full(2**16, _OUTSIDE, dtype=np.int16)
        for value, name in names.items():
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**16:
                raise DatasetError(
                    f"A mapping goes from whole numbers of 0 to 65535 to class names; {value!r} "
                    "is not such a number."
                )
            if name != VOID and name not in space.classes:
                raise DatasetError(
                    f"The mapping sends value {value} to {name!r}, which is not a class of "
                    f"{space.name!r}.{did_you_mean(str(name), space.classes)} "
                    f"Its classes are {', '.join(space.classes)}; 'void' stands for no class."
                )
            self._table[value] = IGNORE if name == VOID else space.classes.index(name)

    @property
    def allowed(self) -> list[int]:
        """The values that label files may hold, in order."""
        return [int(value) for value in np.flatnonzero(self._table != _OUTSIDE)]

    @property
    def black_and_white(self) -> str:
        """The line to write into a description whose labels are masks of 0 and 255."""
        names = [VOID, *self.space.classes] if len(self.space) == 1 else self.space.classes
        return f"mapping: {{0: {names[0]}, 255: {names[1]}}}"

    @property
    def written(self) -> str:
        """The line to write into a description to say what is assumed without one."""
        names = [f"{value}: {name}" for value, name in enumerate(self.space.classes)]
        shown = names if len(names) <= _NAMED else [*names[:2], "...", names[-1]]
        return f"mapping: {{{', '.join(shown)}, {IGNORE}: {VOID}}}"

    @classmethod
    def identity(cls, space: LabelSpace) -> LabelMapping:
        """Read files that hold train ids already, with 255 as void."""
        return cls({**dict(enumerate(space.classes)), IGNORE: VOID}, space)

    @classmethod
    def load(cls, name: str, space: LabelSpace) -> LabelMapping:
        """Load one of the mappings that come with alseg, ``mappings/NAME.yaml``."""
        return cls(read_package_yaml(f"mappings/{name}.yaml"), space)

    def __call__(self, values: NDArray[np.integer], source: str) -> NDArray[np.uint8]:
        """Return the train ids of the values, of the same shape; 255 is void.

        Args:
            values: What the label file holds, H×W.
            source: What to call the file in an error.

        Raises:
            DatasetError: Some values are not in the mapping; they are counted.
        """
        if values.dtype.itemsize > 2 and ((values < 0).any() or (values >= 2**16).any()):
            raise self._outside(values, source)
        ids: NDArray[np.int16] = self._table[values]
        if ids.size and ids.min() == _OUTSIDE:
            raise self._outside(values, source)
        return ids.astype(np.uint8)

    def _outside(self, values: NDArray[np.integer], source: str) -> DatasetError:
        found, counts = np.unique(values, return_counts=True)
        outside = ~np.isin(found, self.allowed)
        listed = [
            f"{value} ({count} pixels)"
            for value, count in zip(found[outside], counts[outside], strict=True)
        ]
        more = f" and {len(listed) - _NAMED} other values" if len(listed) > _NAMED else ""
        return DatasetError(
            f"{source} holds label values outside the list of {self.space.name!r}: "
            f"{', '.join(listed[:_NAMED])}{more}. Allowed are {_ranges(self.allowed)}. "
            "Correct the file, or add the values to the mapping, as 'void' if they stand for no "
            "class."
        )


def _ranges(values: list[int]) -> str:
    """Write sorted numbers in short: ``0-10, 255``."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)

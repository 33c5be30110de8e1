"""Make a segmentation network work in a new visual domain with as little labelling as possible.

The public names are imported when they are first asked for, so that ``import alseg`` and the
commands that train nothing do not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alseg.active.loop import ActiveLoop
    from alseg.data.module import SegmentationDataModule
    from alseg.training.module import SegmentationModule

__all__ = ["ActiveLoop", "SegmentationDataModule", "SegmentationModule"]

_HOMES = {
    "ActiveLoop": "alseg.active.loop",
    "SegmentationDataModule": "alseg.data.module",
    "SegmentationModule": "alseg.training.module",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("alseg")
    if name not in _HOMES:
        raise AttributeError(f"module 'alseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])

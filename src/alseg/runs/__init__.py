"""A run below the command line: its folder, its parts, its start and its end.

``fit_run`` is imported when it is first asked for: it brings PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alseg.runs.fit import fit_run

__all__ = ["fit_run"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'alseg.runs' has no attribute {name!r}")
    return getattr(import_module("alseg.runs.fit"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

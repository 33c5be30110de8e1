"""Rounds of active learning: the loop, and who answers.

The public names are imported when they are first asked for, so that the annotators can be looked
at without waiting for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alseg.active.acquisition import acquire_round
    from alseg.active.annotators import Annotator, OracleAnnotator
    from alseg.active.loop import ActiveLoop
    from alseg.active.people import People

__all__ = ["ActiveLoop", "Annotator", "OracleAnnotator", "People", "acquire_round"]

_HOMES = {
    "ActiveLoop": "loop",
    "Annotator": "annotators",
    "OracleAnnotator": "annotators",
    "People": "people",
    "acquire_round": "acquisition",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'alseg.active' has no attribute {name!r}")
    return getattr(import_module(f"alseg.active.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

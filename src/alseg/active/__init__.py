"""Rounds of active learning: the budget, the label store, who answers, and what is asked.

The public names are imported when they are first asked for, so that a label store can be looked
into without waiting for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alseg.active.acquisition import RoundResult, acquire_round
    from alseg.active.annotators import Annotator, OracleAnnotator
    from alseg.active.budget import Budget
    from alseg.active.export import export_labels
    from alseg.active.loop import ActiveLoop
    from alseg.active.people import People
    from alseg.active.records import ImageRecord, PoolImage
    from alseg.active.store import LabelStore
    from alseg.active.verification import Verification, verify

__all__ = [
    "ActiveLoop",
    "Annotator",
    "Budget",
    "ImageRecord",
    "LabelStore",
    "OracleAnnotator",
    "People",
    "PoolImage",
    "RoundResult",
    "Verification",
    "acquire_round",
    "export_labels",
    "verify",
]

_HOMES = {
    "ActiveLoop": "loop",
    "Annotator": "annotators",
    "Budget": "budget",
    "ImageRecord": "records",
    "LabelStore": "store",
    "OracleAnnotator": "annotators",
    "People": "people",
    "PoolImage": "records",
    "RoundResult": "acquisition",
    "Verification": "verification",
    "acquire_round": "acquisition",
    "export_labels": "export",
    "verify": "verification",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'alseg.active' has no attribute {name!r}")
    return getattr(import_module(f"alseg.active.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

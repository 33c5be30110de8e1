"""Rounds of active learning: the loop, and who answers.

The public names are imported when they are first asked for, so that the annotators can be looked
at without waiting for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alseg.active.annotators import Annotator, Answers, OracleAnnotator
    from alseg.active.loop import ActiveLoop
    from alseg.active.people import People
    from alseg.active.request import RoundRequest
    from alseg.active.requirements import Learner, PoolData
    from alseg.active.round import Round
    from alseg.data.base import Pool
    from alseg.labels import WholeImage, Windows

__all__ = [
    "ActiveLoop",
    "Annotator",
    "Answers",
    "Learner",
    "OracleAnnotator",
    "People",
    "Pool",
    "PoolData",
    "Round",
    "RoundRequest",
    "WholeImage",
    "Windows",
]

_HOMES = {
    "ActiveLoop": "alseg.active.loop",
    "Annotator": "alseg.active.annotators",
    "Answers": "alseg.active.annotators",
    "Learner": "alseg.active.requirements",
    "OracleAnnotator": "alseg.active.annotators",
    "People": "alseg.active.people",
    "Pool": "alseg.data.base",
    "PoolData": "alseg.active.requirements",
    "Round": "alseg.active.round",
    "RoundRequest": "alseg.active.request",
    "WholeImage": "alseg.labels",
    "Windows": "alseg.labels",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'alseg.active' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

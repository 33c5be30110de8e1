"""Rounds of active learning: the budget, the label store, who answers, and what is asked."""

from alseg.active.acquisition import RoundResult, acquire_round
from alseg.active.annotators import Annotator, OracleAnnotator
from alseg.active.budget import Budget
from alseg.active.loop import ActiveLoop
from alseg.active.records import ImageRecord, PoolImage
from alseg.active.store import LabelStore

__all__ = [
    "ActiveLoop",
    "Annotator",
    "Budget",
    "ImageRecord",
    "LabelStore",
    "OracleAnnotator",
    "PoolImage",
    "RoundResult",
    "acquire_round",
]

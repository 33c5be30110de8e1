"""The errors that alseg raises for the person at the keyboard."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AlsegError(Exception):
    """Base of the errors whose message is meant to be read by a user, without a traceback."""


class BudgetError(AlsegError):
    """A budget that cannot be read or cannot be spent as asked."""


class PoolExhausted(UserWarning):
    """No region is left to ask for although the budget is not spent."""


class BudgetUnspent(UserWarning):
    """A training ended before all its rounds were held."""


class LabelStoreError(AlsegError):
    """A label store that is missing, damaged or does not belong to this run."""


class DatasetError(AlsegError):
    """Images or labels that are missing, unmatched, of another size or outside the class list."""


class WeightsError(AlsegError):
    """Encoder weights or a checkpoint that cannot be found or do not fit the model."""


class ConfigError(AlsegError):
    """A combination of settings that makes no sense."""


class FolderInUse(AlsegError):
    """A folder that another process is writing to."""


class FolderLeadsOut(AlsegError):
    """A run's folder with a link that leads out of it, or with a pipe or a device in it."""


class ScoreError(AlsegError):
    """A strategy that returned something that pixels cannot be ranked by."""


class AnswersNeeded(AlsegError):
    """No failure: a round's queries are written, and the run goes on once they are answered."""


class AnswersMissing(AlsegError):
    """A run cannot go on because queries of its round are not answered."""


class ExchangeError(AlsegError):
    """A file of a labelling tool that cannot be read, or that answers what was not asked."""


class CompareError(AlsegError):
    """Folders that hold no runs to compare, or a report that cannot be written."""


class RankError(AlsegError):
    """Another process of the run failed or is gone; the message says why."""


def did_you_mean(word: str, known: Iterable[str], quote: str = "'") -> str:
    """Return a question that names the known word nearest to one, or nothing if none is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f" Did you mean {quote}{near[0]}{quote}?" if near else ""

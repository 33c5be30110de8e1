"""Several processes that do one thing: what one knows, all can know; where one fails, all end.

A process that fails while the others wait for it in a collective leaves them waiting until a
timeout, half an hour by default. Two things prevent that here. Between two training rounds the
ranks talk through ``gather`` inside ``together``: a failure takes the place of the next answer.
Everywhere else, ``alseg.distributed.stop_together`` reaches the other ranks past the collective
they wait in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from alseg.errors import AlsegError, RankError
from alseg.storage.shared_storage import appears

T = TypeVar("T")

LOST = re.compile(r"gloo|nccl|connection (?:was )?(?:closed|reset|refused)", re.IGNORECASE)


def gather(mine: Any) -> list[Any]:
    """Return what every rank passes, in the order of the ranks; every rank must call it.

    Args:
        mine: Anything that can be pickled.

    Raises:
        RankError: Another rank failed instead of calling this, or is gone.
    """
    return _exchange(mine, None)


def gather_tensor(mine: Tensor) -> list[Tensor]:
    """Return the tensor of every rank, in the order of the ranks; all are of one shape.

    For the steps of a training, where every rank makes the same calls; a rank that fails ends the
    others as ``alseg.distributed.stop_together`` says.
    """
    if not _several():
        return [mine]
    found = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, mine)
    return found


def is_first() -> bool:
    """Whether this is the first rank, or the only process."""
    return place()[0] == 0


def place() -> tuple[int, int]:
    """Return the number of this rank and how many there are; 0 and 1 of a single process."""
    return (distributed.get_rank(), distributed.get_world_size()) if _several() else (0, 1)


def share_of(items: Mapping[int, T]) -> dict[int, T]:
    """Return the items of this rank: each goes to one, by its number."""
    rank, ranks = place()
    return {number: item for number, item in items.items() if number % ranks == rank}


def seen(path: Path) -> bool:
    """Whether the first rank sees a file; on shared storage the others wait until they do.

    Every rank must call it.

    Raises:
        RankError: Another rank failed instead of calling this, or is gone.
    """
    there: bool = gather(path.is_file())[0]
    return there and appears(path.is_file)


@contextmanager
def together() -> Iterator[None]:
    """Leave the body on all ranks at once, or with the same failure on all.

    An exception in the body of one rank is raised there, and as a `RankError` with its message in
    the other ranks, at their next ``gather`` or at the end of the body. Every rank must enter; the
    body talks to the other ranks through ``gather`` alone and does not nest.

    Raises:
        RankError: Another rank failed in its body, or is gone.
    """
    try:
        yield
    except RankError:
        raise
    except Exception as error:
        # The others need not hear it when they are gone.
        with suppress(RankError):
            _exchange(None, words_of(error))
        raise
    gather(None)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _exchange(mine: Any, failure: str | None) -> list[Any]:
    if not _several():
        return [mine]
    everyone: list[Any] = [None] * distributed.get_world_size()
    try:
        distributed.all_gather_object(everyone, (mine, failure))
    except RuntimeError as error:
        raise RankError(words_of(error)) from error
    if failure is None:
        for rank, (_, theirs) in enumerate(everyone):
            if theirs is not None:
                raise RankError(f"Rank {rank} failed: {theirs}")
    return [answer for answer, _ in everyone]


def connection_broke(error: BaseException) -> bool:
    """Whether a failure is that of a collective whose other side is gone."""
    if isinstance(error, distributed.DistError):
        return True
    # Gloo and NCCL raise a plain RuntimeError in some versions of PyTorch.
    return type(error) is RuntimeError and bool(LOST.search(str(error)))


def words_of(error: BaseException) -> str:
    """Return a failure as it is told to a person and to the other ranks."""
    if connection_broke(error):
        return (
            "The connection to another process of the run broke: the process was killed, or its "
            "machine cannot be reached. Go on with `alseg fit --resume RUN`."
        )
    if isinstance(error, AlsegError):
        return str(error)
    return f"{type(error).__name__}: {error}"

"""Several processes that do one thing: what one knows, all can know; where one fails, all end.

A process that fails while the others wait for it in a collective leaves them waiting until a
timeout, half an hour by default. Two things prevent that here. Between two training rounds the
ranks talk through ``gather`` inside ``together``: a failure takes the place of the next answer.
Everywhere else, ``StopTogether`` tells the other ranks past the collective they wait in.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
from torch import distributed

from alseg.errors import AlsegError, RankError

log = logging.getLogger("alseg")


def gather(mine: Any) -> list[Any]:
    """Return what every rank passes, in the order of the ranks; every rank must call it.

    Args:
        mine: Anything that can be pickled.

    Raises:
        RankError: Another rank failed instead of calling this, or is gone.
    """
    return _exchange(mine, None)


def seen(path: Path, seconds: float = 120.0) -> bool:
    """Whether the first rank sees a file; on shared storage the others wait until they do.

    Every rank must call it.

    Raises:
        RankError: Another rank failed instead of calling this, or is gone.
    """
    there: bool = gather(path.is_file())[0]
    end = time.monotonic() + seconds
    while there and not path.is_file() and time.monotonic() < end:
        time.sleep(0.1)
    return there


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
            _exchange(None, _words(error))
        raise
    gather(None)


def _exchange(mine: Any, failure: str | None) -> list[Any]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return [mine]
    everyone: list[Any] = [None] * distributed.get_world_size()
    try:
        distributed.all_gather_object(everyone, (mine, failure))
    except RuntimeError as error:
        raise RankError(f"The connection to the other ranks broke: {error}") from error
    if failure is None:
        for rank, (_, theirs) in enumerate(everyone):
            if theirs is not None:
                raise RankError(f"Rank {rank} failed: {theirs}")
    return [answer for answer, _ in everyone]


def _words(error: BaseException) -> str:
    if isinstance(error, AlsegError):
        return str(error)
    return f"{type(error).__name__}: {error}"


class StopTogether(L.Callback):
    """Ends all ranks within seconds when one fails, with the message of that one.

    A rank that raises writes its message into the store through which the ranks found each other.
    A thread of every other rank sees it there, also while its main thread waits in a collective,
    logs it and ends the process; likewise when the process that keeps the store is gone. On one
    process it does nothing.

    It watches while a trainer works. As a context (``with stop_together:``) around several trainers
    it also watches between them, from the first on.

    Args:
        grace: Seconds that a rank has to end by itself after it heard of a failure.
        interval: Seconds between two looks.
    """

    def __init__(self, grace: float = 5.0, interval: float = 1.0) -> None:
        self.grace = grace
        self.interval = interval
        self._watch: _Watch | None = None
        self._within = False

    def __enter__(self) -> StopTogether:
        self._within = True
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._within = False
        if self._watch is None:
            return
        if error is None:
            gather(None)
            self._end()
        else:
            self._tell(error)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start to look after the other ranks."""
        if self._watch is None and trainer.world_size > 1 and distributed.is_initialized():
            self._watch = _Watch(trainer.global_rank, trainer.world_size, self.grace, self.interval)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Stop looking once every rank has come to its end."""
        if self._watch is not None and not self._within:
            trainer.strategy.barrier()
            self._end()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Tell the other ranks why this one ends."""
        if self._watch is not None:
            self._tell(exception)

    def _tell(self, error: BaseException) -> None:
        assert self._watch is not None
        self._watch.tell(_words(error))
        self._watch = None

    def _end(self) -> None:
        assert self._watch is not None
        self._watch.stop()
        self._watch = None


class _Watch:
    """Looks every now and then for a failure of another rank.

    The first rank ends first where it can: a launcher that sees another one end kills the rest,
    and what the first would have said is lost.
    """

    started = 0

    def __init__(self, rank: int, ranks: int, grace: float, interval: float) -> None:
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self._rank, self._ranks = rank, ranks
        self._grace, self._interval = grace, interval
        # A launcher that starts the processes anew may keep the store of the failed ones, and a
        # program may go on after a failure: each watch of a process has keys of its own.
        _Watch.started += 1
        attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{_Watch.started}"
        self._failure, self._heard = f"alseg/{attempt}/failure", f"alseg/{attempt}/heard"
        self._store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(seconds=60),
        )
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._known: str | None = None
        threading.Thread(target=self._look, name="other-ranks", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def tell(self, message: str) -> None:
        """Write why this rank fails, unless another failed before, and wait until all know."""
        self.stop()
        with suppress(RuntimeError):
            said = json.dumps([self._rank, message])
            self._store.compare_set(self._failure, "", said)
            self._learn()
            self._wait(lambda: self._store.add(self._heard, 0) >= self._ranks)
            if self._rank:
                self._wait(lambda: not self._store.check([self._failure]))
        if self._known:
            log.error(self._known)

    def _wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + self._grace + 2 * self._interval
        while time.monotonic() < end and not done():
            time.sleep(self._interval / 10)

    def _look(self) -> None:
        while self._known is None:
            if self._stopped.wait(self._interval):
                return
            try:
                if self._store.check([self._failure]):
                    self._learn()
            except RuntimeError as error:
                self._known = f"The first process is gone ({type(error).__name__})."
        if not self._stopped.wait(self._grace):
            log.error("%s This process ends too.", self._known)
            logging.shutdown()
            sys.stdout.flush()
            # Nothing less ends a main thread that waits in a collective.
            os._exit(1)

    def _learn(self) -> None:
        """Read the first failure; once a rank, so that the heard can be counted."""
        with self._lock:
            if self._known is None:
                rank, words = json.loads(self._store.get(self._failure))
                self._store.add(self._heard, 1)
                self._known = "" if rank == self._rank else f"Rank {rank} failed: {words}"

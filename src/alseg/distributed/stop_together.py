"""Where one process of a run fails, all end within seconds, wherever the others wait."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import lightning as L
from torch import distributed

from alseg.distributed import interruption
from alseg.distributed.ranks import connection_broke, gather, words_of
from alseg.errors import AnswersNeeded, RankError

log = logging.getLogger("alseg")


STOP = "asked to stop"
"""What the other ranks hear in place of a failure where one was asked to stop."""


class StoppedTogether(KeyboardInterrupt):
    """All ranks have agreed to stop here."""


def end_process(words: str) -> None:
    """Say why, and end this process though its main thread may wait where no exception reaches."""
    interruption.end_now(words, 1)


class StopTogether(L.Callback):
    """Ends all ranks within seconds when one fails, with the message of that one.

    A rank that raises writes its message into the store through which the ranks found each other.
    A thread of every other rank sees it there, also while its main thread waits in a collective,
    logs it and ends the process; likewise when the process that keeps the store is gone. On one
    process it does nothing.

    It watches while a trainer works. As a context (``with stop_together:``) around several trainers
    it also watches between them, from ``watch`` or the first of them on, and a connection that
    broke because another rank is gone leaves it as a `RankError`.

    Args:
        grace: Seconds that a rank has to end by itself after it heard of a failure.
        interval: Seconds between two looks.
    """

    def __init__(self, grace: float = 5.0, interval: float = 0.25) -> None:
        self.grace = grace
        self.interval = interval
        self._watch: _Watch | None = None
        self._within = False
        self._reason = ""

    def __enter__(self) -> StopTogether:
        self._within = True
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and self._watch is not None:
            try:
                gather(None)
                self._end()
            except RankError as broken:
                error = broken
        self._within = False
        if error is None:
            return
        if self._watch is not None:
            self._tell(error)
        if isinstance(error, RankError) or connection_broke(error):
            raise RankError(self._reason or words_of(error)) from error
        if self._reason:
            log.error(self._reason)

    def watch(self, rank: int, ranks: int) -> None:
        """Start to look after the other ranks; they must have found each other."""
        if self._watch is None and ranks > 1 and distributed.is_initialized():
            self._watch = _Watch(rank, ranks, self.grace, self.interval)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start to look after the other ranks."""
        self.watch(trainer.global_rank, trainer.world_size)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Stop looking once every rank has come to its end."""
        if self._watch is not None and not self._within:
            trainer.strategy.barrier()
            self._end()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Tell the other ranks why this one ends."""
        if self._watch is not None and isinstance(exception, StoppedTogether):
            self._end()
        elif self._watch is not None and not isinstance(exception, AnswersNeeded):
            self._tell(exception)
        if self._reason and not self._within:
            log.error(self._reason)

    def _tell(self, error: BaseException) -> None:
        assert self._watch is not None
        stopped = isinstance(error, KeyboardInterrupt)
        self._reason = self._watch.tell(STOP if stopped else words_of(error))
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

    def tell(self, message: str) -> str:
        """Write why this rank fails, unless another failed before, and wait until all know.

        Returns:
            Why another failed before, if one did.
        """
        self.stop()
        with suppress(RuntimeError):
            said = json.dumps([self._rank, message])
            self._store.compare_set(self._failure, "", said)
            self._learn()
            self._wait(lambda: self._store.add(self._heard, 0) >= self._ranks)
            if self._rank:
                self._wait(lambda: not self._store.check([self._failure]))
        return "" if self._known in (None, STOP) else self._known

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
        if self._known == STOP:
            self._stop()
        elif not self._stopped.wait(self._grace):
            end_process(f"{self._known} This process ends too.")

    def _stop(self) -> None:
        """Ask the main thread to stop, or end the process where it waits for the rank that did."""
        if interruption.is_installed() and not self._stopped.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            if not self._stopped.wait(min(self._grace, 2 * self._interval)):
                interruption.end_now(interruption.sentence(), interruption.STATUS)
        elif not self._stopped.wait(self._grace):
            end_process("Another process of the run was asked to stop. This process ends too.")

    def _learn(self) -> None:
        """Read the first failure; once a rank, so that the heard can be counted."""
        with self._lock:
            if self._known is None:
                rank, words = json.loads(self._store.get(self._failure))
                self._store.add(self._heard, 1)
                failed = words if words == STOP else f"Rank {rank} failed: {words}"
                self._known = "" if rank == self._rank else failed

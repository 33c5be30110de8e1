"""How a command ends when it is asked to, by Ctrl-C (SIGINT) or by SIGTERM: both do the same.

The first signal ends what is computed at once, except in ``deferred`` stretches, such as a step of
training, whose end looks at ``asked``. A second Ctrl-C ends the process whatever it does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

STATUS = 130
"""The exit status of a command that was interrupted."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class _State:
    installed: bool = False
    asked: bool = False
    deferred: bool = False
    sentence: str = ""


_state = _State()


@contextmanager
def interruptible(sentence: str) -> Iterator[None]:
    """Take SIGINT and SIGTERM as a request to stop while the body runs.

    In a thread other than the main one, where Python takes no signals, it does nothing.

    Args:
        sentence: What a person reads who stops the command; ``say`` replaces it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state
    outer, before = _state, {number: signal.getsignal(number) for number in SIGNALS}
    _state = _State(installed=True, sentence=sentence)
    try:
        install()
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state = outer


def install() -> None:
    """Take the signals again where a library has put handlers of its own in place."""
    if not _state.installed:
        return
    for number in SIGNALS:
        # A background job of a script ignores Ctrl-C, which is meant for another program.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def say(sentence: str) -> None:
    """Set what a person reads who stops the command from here on."""
    _state.sentence = sentence


def sentence() -> str:
    """Return what a person reads who stops the command."""
    return _state.sentence


def is_installed() -> bool:
    """Whether the signals are taken here."""
    return _state.installed


def asked() -> bool:
    """Whether the process was asked to stop."""
    return _state.asked


def check() -> None:
    """End here if the process was asked to stop.

    Raises:
        KeyboardInterrupt: It was.
    """
    if _state.asked and not _state.deferred:
        raise KeyboardInterrupt


def defer(deferred: bool) -> None:
    """Let a signal wait for the next look at ``asked``, or no longer."""
    _state.deferred = deferred


@contextmanager
def at_once() -> Iterator[None]:
    """End the body as soon as the process is asked to stop, also within a deferred stretch.

    Raises:
        KeyboardInterrupt: It is, or was before.
    """
    before, _state.deferred = _state.deferred, False
    try:
        check()
        yield
    finally:
        _state.deferred = before


def end_now(words: str, status: int) -> None:
    """Say something, and end this process though its main thread may wait elsewhere."""
    logging.getLogger("alseg").error(words)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _stop(number: int, frame: object) -> None:
    if _state.asked:
        # What asks a second time by SIGTERM is a launcher that passes on the first signal.
        if number == signal.SIGINT:
            end_now(_state.sentence, STATUS)
        return
    _state.asked = True
    if not _state.deferred:
        raise KeyboardInterrupt

"""The line that says where a run is, and how long the whole of it still takes."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from alseg.config.labelling_cost import in_words
from alseg.runs.run_summary import START, TRAINING

SCORING, VALIDATION = "scoring", "validation"
"""The phases of the line beside those that seconds are counted for."""

OF_A_TERMINAL = 0.2
"""Seconds between two refreshes of the line on a terminal."""

OF_A_FILE = 30.0
"""Seconds between two lines where nothing can be refreshed."""

COLUMNS = 80
"""Of a terminal that does not tell its width."""

MEASURED = 5
"""Steps or images that are timed before an estimate is made."""


class RunLine:
    """Draws one line for all phases of a run: on a terminal in place, elsewhere now and then.

    Args:
        left: What the run still has to do, in steps or images, by phase. It is counted down.
        alike: How much longer a step or image of a phase takes than a step of the start; used until
            the phase itself has been timed.
        estimate: Returns what follows the time in the first estimate, such as the number of steps;
            called with a function that returns the seconds per step or image of a phase.
        name: The name of the run.
        stream: Where to draw; None is stderr.
        clock: Seconds that rise.
    """

    def __init__(
        self,
        left: dict[str, int],
        alike: Mapping[str, float],
        estimate: Callable[[Callable[[str], float]], str],
        name: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.left = left
        self._alike, self._estimate, self._name = alike, estimate, name
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._in_place = self._stream.isatty()
        self._spent = dict.fromkeys(left, 0.0)
        self._timed = dict.fromkeys(left, 0)
        self._phase, self._since, self._drawn = "", 0.0, clock()
        self._estimated, self._shown = False, False

    def advance(self, phase: str, words: str) -> None:
        """Count one step or image of a phase, and say where the run is.

        The first after another phase is not timed: loading processes start, or a round was held.

        Args:
            phase: The phase.
            words: Where the run is.
        """
        now = self._clock()
        if phase == self._phase:
            self._spent[phase] += now - self._since
            self._timed[phase] += 1
        self._phase, self._since = phase, now
        self.left[phase] = max(0, self.left[phase] - 1)
        if not self._estimated and self._timed[phase] >= MEASURED:
            self._say_estimate()
        if now - self._drawn >= (OF_A_TERMINAL if self._in_place else OF_A_FILE):
            self._drawn = now
            self._draw(words)

    def seconds_left(self) -> float | None:
        """Return how long the rest of the run takes; None before enough was timed."""
        paces = {phase: self._pace(phase) for phase, units in self.left.items() if units}
        if any(pace is None for pace in paces.values()):
            return None
        return sum(self.left[phase] * pace for phase, pace in paces.items() if pace is not None)

    def clear(self) -> None:
        """Take the line off the terminal, so that a message has the place."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Keep log messages and warnings off the line in the body, and take it away at the end."""
        names = ("alseg", "lightning.pytorch", "lightning.fabric", "")
        handlers = {handler for name in names for handler in logging.getLogger(name).handlers}
        show = warnings.showwarning

        def cleared(record: logging.LogRecord) -> bool:
            self.clear()
            return True

        def show_cleared(*details: Any, **more: Any) -> None:
            self.clear()
            show(*details, **more)

        for handler in handlers:
            handler.addFilter(cleared)
        warnings.showwarning = show_cleared
        try:
            yield
        finally:
            self.clear()
            if warnings.showwarning is show_cleared:
                warnings.showwarning = show
            for handler in handlers:
                handler.removeFilter(cleared)

    def _pace(self, phase: str) -> float | None:
        if self._timed[phase] >= MEASURED:
            return self._spent[phase] / self._timed[phase]
        known = [other for other, timed in self._timed.items() if timed >= MEASURED]
        if not known:
            return None
        # A step is what resembles the rest most.
        best = max(known, key=lambda other: (other in (START, TRAINING), self._timed[other]))
        pace = self._spent[best] / self._timed[best]
        return pace * self._alike[phase] / self._alike[best]

    def _say_estimate(self) -> None:
        left = self.seconds_left()
        if left is None:
            return
        self._estimated = True
        self.clear()
        words = self._estimate(lambda phase: self._pace(phase) or 0.0)
        self._stream.write(f"about {in_words(left)} on this machine: {words}\n")
        self._stream.flush()

    def _draw(self, words: str) -> None:
        left = self.seconds_left()
        remaining = "" if left is None else f", about {in_words(left)} left"
        line = f"{words}{remaining} ({self._name})"
        if self._in_place:
            # A line that wraps cannot be taken back.
            self._stream.write(f"\r{line[: self._columns() - 1]}\x1b[K")
            self._shown = True
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or COLUMNS
        except (OSError, ValueError):
            return COLUMNS

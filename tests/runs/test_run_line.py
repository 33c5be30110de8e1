import io
import logging
import re
import warnings

import pytest

from alseg.runs.run_line import SCORING, RunLine
from alseg.runs.run_summary import EVALUATION, START, TRAINING


class Screen(io.StringIO):
    """Shows what a terminal shows: a carriage return begins a line again, and ESC [K clears it."""

    def isatty(self):
        return True

    def lines(self):
        shown = []
        for line in self.getvalue().split("\n"):
            last = re.split(r"\r", line)[-1]
            shown.append(last.replace("\x1b[K", ""))
        return shown


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


ALIKE = {START: 1.0, TRAINING: 2.0, SCORING: 0.5, EVALUATION: 1.0}


def new_line(stream, clock, **left):
    whole = {START: 0, TRAINING: 0, SCORING: 0, EVALUATION: 0}
    whole.update({name.replace("_", " "): units for name, units in left.items()})
    return RunLine(whole, ALIKE, lambda pace: f"{pace(START):g} s", "run", stream, clock)


def advance(line, clock, phase, count, seconds):
    for index in range(count):
        clock.now += seconds
        line.advance(phase, f"{phase} {index + 1}")


def test_the_time_left_is_that_of_the_whole_run():
    clock = Clock()
    line = new_line(io.StringIO(), clock, source_start=10, training=20, scoring=8, evaluation=4)
    advance(line, clock, START, 5, 3.0)
    assert line.seconds_left() is None
    advance(line, clock, START, 1, 3.0)
    # Four steps of 3 s; 20 of twice, 8 images of half that, 4 of the same.
    assert line.seconds_left() == pytest.approx(4 * 3 + 20 * 6 + 8 * 1.5 + 4 * 3)


def test_a_phase_that_was_timed_counts_by_its_own_time():
    clock = Clock()
    line = new_line(io.StringIO(), clock, source_start=6, training=20)
    advance(line, clock, START, 6, 3.0)
    assert line.seconds_left() == pytest.approx(20 * 6)
    clock.now += 100  # What lies between two phases belongs to neither.
    advance(line, clock, TRAINING, 6, 4.0)
    assert line.seconds_left() == pytest.approx(14 * 4)


def test_off_a_terminal_there_is_a_plain_line_every_half_minute_and_no_refresh():
    clock, stream = Clock(), io.StringIO()
    line = new_line(stream, clock, source_start=100)
    advance(line, clock, START, 100, 1.0)
    assert stream.getvalue().splitlines() == [
        # 94 steps of a second.
        "about 2 min on this machine: 1 s",
        "source start 30, about 1 min left (run)",
        "source start 60, about 40 s left (run)",
        "source start 90, about 10 s left (run)",
    ]


def test_on_a_terminal_the_line_is_refreshed_in_place_and_taken_away():
    clock, screen = Clock(), Screen()
    line = new_line(screen, clock, source_start=10)
    with line.open():
        advance(line, clock, START, 10, 1.0)
        assert screen.lines() == [
            "about 4 s on this machine: 1 s",
            "source start 10, about 0 s left (run)",
        ]
    assert screen.lines()[-1] == ""


def test_a_message_never_shares_the_place_of_the_line():
    clock, screen = Clock(), Screen()
    log = logging.getLogger("alseg")
    handler = logging.StreamHandler(screen)
    log.addHandler(handler)
    line = new_line(screen, clock, source_start=10)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: print(message, file=screen)
        with line.open():
            advance(line, clock, START, 2, 1.0)
            log.warning("A message.")
            advance(line, clock, START, 2, 1.0)
            warnings.warn("A warning.", stacklevel=1)
            advance(line, clock, START, 1, 1.0)
    log.removeHandler(handler)
    assert "A message." in screen.lines()
    assert "A warning." in screen.lines()
    assert not handler.filters


def test_a_long_line_is_cut_to_the_terminal():
    clock, screen = Clock(), Screen()
    line = new_line(screen, clock, source_start=1)
    clock.now = 1.0
    line.advance(START, "x" * 200)
    assert screen.lines() == ["x" * 79]


def test_what_is_refreshed_too_soon_is_not_drawn():
    clock, screen = Clock(), Screen()
    line = new_line(screen, clock, source_start=400)
    advance(line, clock, START, 4, 0.05)
    assert screen.getvalue().count("\r") == 1

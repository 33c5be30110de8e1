"""What labels cost a person."""

from __future__ import annotations

CLICK_SECONDS = 3.0
"""Seconds per click where nobody was timed: the 2.4 s that people took to point at the first object
of a class (arXiv 1506.02106), rounded up, since a window is looked at before it is answered."""

ORACLE_CLICKS = (
    "An oracle's clicks count one per window, also where a window contains several classes, which "
    "a person would answer in parts."
)
"""What the clicks of a run without people leave out."""


UNPRICED_MASKS = (
    "for a person: one mask an image; what a mask takes depends on the image and the tool, so no "
    "time is assumed for it"
)
"""What a run that asks for whole images says instead of a price."""


def in_words(seconds: float) -> str:
    """Return a time for people: ``40 s``, ``29 min``, ``3 h 05 min``, ``41 h``."""
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h" if hours >= 10 else f"{hours} h {minutes:02} min"

"""Storage that several hosts share."""

from __future__ import annotations

import time
from collections.abc import Callable


def appears(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Wait until this process sees what another has written, and return whether it does.

    Storage that hosts share may show a new name to the others up to a minute late.

    Args:
        condition: Whether it is seen; asked ten times a second.
        seconds: How long to wait.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True

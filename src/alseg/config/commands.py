"""Commands that a person is shown, as a shell takes them."""

from __future__ import annotations

import shlex
from pathlib import Path


def resume_command(run: Path) -> str:
    """Return the command that goes on with a run."""
    return shlex.join(["alseg", "fit", "--resume", str(run)])

"""What to do once a round is answered."""

from __future__ import annotations

import shlex
from pathlib import Path


def next_command(run: Path) -> str:
    """Return the command that goes on with the answers of a run's newest round."""
    if (run / "config.yaml").is_file():
        return shlex.join(["alseg", "fit", "--resume", str(run)])
    return shlex.join(["alseg", "labels", "export", str(run), "-o", f"{run.name}-labels"])

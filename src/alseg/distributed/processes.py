"""Which of the processes of a run this is, before they can talk: the environment says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUN_VARIABLE = "ALSEG_RUN_FOLDER"
"""Set for the processes that Lightning starts, so that all ranks share one run folder."""

PARENT_VARIABLE = "ALSEG_FIRST_PROCESS"
"""Set likewise: the number of the process that started them."""

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Whether this process is the first of those that Lightning, torchrun or SLURM started."""
    return not any(int(os.environ.get(name, "0")) for name in RANK_VARIABLES)


@contextmanager
def handed_down(folder: Path) -> Iterator[None]:
    """Let the processes that are started in the body know the run's folder and their parent."""
    try:
        os.environ[RUN_VARIABLE] = str(folder.resolve())
        os.environ[PARENT_VARIABLE] = str(os.getpid())
        yield
    finally:
        os.environ.pop(RUN_VARIABLE, None)
        os.environ.pop(PARENT_VARIABLE, None)


def is_orphan() -> bool:
    """Whether the process that started this one is gone."""
    parent = os.environ.get(PARENT_VARIABLE)
    return parent is not None and not is_first_process() and os.getppid() != int(parent)

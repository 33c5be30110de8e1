"""What a phase of a run takes: its time, and the most memory that the process has used."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

MIB = 2**20


class Clock:
    """Takes the time of a phase, lap by lap, and of the phases within it."""

    def __init__(self, name: str, within: Mapping[str, float]) -> None:
        self.name = name
        self._within = within
        self._since, self._counted = time.perf_counter(), dict(within)

    def lap(self) -> dict[str, float]:
        """Return the seconds since the last lap by phase; those within are not the phase's own."""
        now, inner = time.perf_counter(), dict(self._within)
        spent = {name: seconds - self._counted[name] for name, seconds in inner.items()}
        own = now - self._since - sum(spent.values())
        self._since, self._counted = now, inner
        return {self.name: own, **spent}


def start_counting() -> None:
    """Begin anew with the peak on the GPU; that of the process cannot be reset."""
    torch = _torch_with_gpu()
    if torch is not None:
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> dict[str, float]:
    """Return the peaks in MiB, by what they are of.

    Returns:
        ``process``: the largest resident size since the process started, without the processes
        that load images. ``gpu``: the most that PyTorch held at once since ``start_counting``, only
        where a GPU is used. A system that cannot tell is left out.
    """
    peaks = {}
    if sys.platform != "win32":
        import resource

        # Linux counts kibibytes, macOS bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        peaks["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
    torch = _torch_with_gpu()
    if torch is not None:
        peaks["gpu"] = torch.cuda.max_memory_allocated() / MIB
    return peaks


def _torch_with_gpu() -> Any:
    """Return PyTorch if it is imported and uses a GPU; a command that needs neither stays quick."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None

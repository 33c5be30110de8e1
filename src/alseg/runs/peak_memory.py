"""The most memory that this process has used."""

from __future__ import annotations

import sys
from typing import Any

MIB = 2**20


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

"""How much memory this process has held."""

from __future__ import annotations

import sys


def peak_memory() -> dict[str, float]:
    """Return the most that the process has held so far, in MiB: of the machine and of a GPU.

    What the system does not tell is left out; a GPU is not asked for unless it is in use.
    """
    found = {}
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        # Linux counts in KiB, macOS in bytes.
        unit = 2**20 if sys.platform == "darwin" else 2**10
        found["RAM"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        found["GPU"] = torch.cuda.max_memory_allocated() / 2**20
    return found

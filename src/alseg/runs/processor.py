"""What the processor is called."""

import platform
from pathlib import Path


def processor_name(table: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor, which on Linux Python itself does not know.

    Args:
        table: Where Linux lists the processors.
    """
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

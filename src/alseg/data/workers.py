"""What the processes that load images do when they start."""

from __future__ import annotations

import os
import re
import signal
import threading

_ENDED = re.compile(r"DataLoader worker \(pid.*?\) (?:is killed by signal: ([\w ]+)|exited)")


def one_thread(worker: int) -> None:
    """Keep OpenCV from starting threads of its own, and leave it to the first process to stop."""
    import cv2

    cv2.setNumThreads(0)
    # Sent to all processes of a job, signals would take away the batch of the last step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_for_the_parent, daemon=True).start()


def _end_for_the_parent() -> None:
    """End the process once its parent sends SIGTERM, as Python does when the parent exits."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def killed_in_words(error: BaseException) -> str | None:
    """Return what to do where an error says that a loading process was killed; None elsewhere."""
    found = _ENDED.search(str(error)) if isinstance(error, RuntimeError) else None
    if found is None:
        return None
    if found[1] == "Bus error":
        return (
            "A process that loads images ran out of shared memory. Use fewer --workers, a smaller "
            "--batch-size or a larger /dev/shm; `alseg fit --resume RUN` continues a run."
        )
    by = f" (signal: {found[1].strip()})" if found[1] else ""
    return (
        f"A process that loads images was killed{by}, most often because memory ran out. Use "
        "fewer --workers or a smaller --batch-size; `alseg fit --resume RUN` continues a run."
    )

"""What the processes that load images do when they start."""

from __future__ import annotations


def one_thread(worker: int) -> None:
    """Keep OpenCV from starting threads of its own beside those of the other workers."""
    import cv2

    cv2.setNumThreads(0)

"""Images of 360×480 that the scene renderer makes in a second on one core, per domain."""

from __future__ import annotations

import time

import cv2

from alseg.data.scenes import DOMAINS, render_scene


def images_per_second(domain: str, count: int = 20, repeats: int = 4) -> float:
    """Render `count` scenes and take the processor time of the fastest of `repeats` for each."""
    render_scene(domain, 0, 0)
    total = 0.0
    for index in range(1, count + 1):
        seconds = []
        for _ in range(repeats):
            start = time.process_time()
            render_scene(domain, 0, index)
            seconds.append(time.process_time() - start)
        total += min(seconds)
    return count / total


def main() -> None:
    """Print one line a domain."""
    cv2.setNumThreads(1)
    for domain in DOMAINS:
        print(f"{domain:8s}{images_per_second(domain):6.1f} images/s")


if __name__ == "__main__":
    main()

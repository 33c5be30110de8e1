"""Images of 360×480 that the scene renderer makes in a second on one core, per domain."""

from __future__ import annotations

import time

import cv2

from alseg.data.scenes import DOMAINS, render_scene


def images_per_second(domain: str, count: int = 40) -> float:
    """Render `count` scenes after one to warm up; processor time, so that neighbours count less."""
    render_scene(domain, 0, 0)
    start = time.process_time()
    for index in range(1, count + 1):
        render_scene(domain, 0, index)
    return count / (time.process_time() - start)


def main() -> None:
    """Print one line a domain."""
    cv2.setNumThreads(1)
    for domain in DOMAINS:
        print(f"{domain:8s}{images_per_second(domain):6.1f} images/s")


if __name__ == "__main__":
    main()

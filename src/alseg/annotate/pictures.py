"""The pictures of the labelling page: whole images made smaller, and crops at full resolution."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.active.asked import AskedImage, AskedRound, Query

LONGEST_SIDE = 1600
"""Pixels of the longer side of a whole image as it is sent."""

CROP = 256
"""Pixels of a crop's sides, or eight windows where that is more."""

T = TypeVar("T")


class Kept(Generic[T]):
    """Values that are made once, each kept until newer ones need its memory.

    A value that several threads ask for at once is made by the first; the others wait for it.
    """

    def __init__(self, limit: int, cost: Callable[[T], int]) -> None:
        """Keep values that cost ``limit`` in sum, at least the newest."""
        self._limit = limit
        self._cost = cost
        self._futures: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._costs: dict[Hashable, int] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key; errors of ``make`` are raised and not kept."""
        with self._lock:
            future = self._futures.get(key)
            if future is not None:
                self._futures.move_to_end(key)
            else:
                mine: Future[T] = Future()
                self._futures[key] = mine
        if future is not None:
            return future.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._futures[key]
            mine.set_exception(error)
            raise
        mine.set_result(value)
        with self._lock:
            self._costs[key] = self._cost(value)
            while len(self._costs) > 1 and sum(self._costs.values()) > self._limit:
                oldest = next(name for name in self._futures if name in self._costs)
                del self._futures[oldest], self._costs[oldest]
        return value

    @property
    def cost(self) -> int:
        """What is kept now costs this in sum."""
        with self._lock:
            return sum(self._costs.values())


class Pictures:
    """The encoded pictures of a round, made ahead of time and kept in bounded memory."""

    def __init__(self, asked: AskedRound) -> None:
        self._asked = asked
        self._names = tuple(asked.images)
        self._images: Kept[NDArray[np.uint8]] = Kept(200 << 20, lambda pixels: pixels.nbytes)
        self._encoded: Kept[bytes] = Kept(100 << 20, len)
        self._ahead = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pictures")

    def whole(self, number: int) -> bytes:
        """Return an image, found by its number in the round, as a JPEG.

        Raises:
            IndexError: There is no such image.
            LabelStoreError: The image cannot be read.
        """
        name = self._names[number]
        return self._encoded.get(number, lambda: _to_jpeg(self._pixels(name)))

    def crop(self, query_id: str) -> bytes:
        """Return what lies around a query as a PNG.

        Raises:
            KeyError: There is no such query.
            LabelStoreError: The image cannot be read.
        """
        query = self._asked.by_id[query_id]
        return self._encoded.get(query_id, lambda: self._make_crop(query))

    def prepare(self, questions: Iterable[dict[str, Any]]) -> None:
        """Begin to make the pictures of questions that will soon be asked."""
        for question in questions:
            self._ahead.submit(self.whole, question["image"])
            self._ahead.submit(self.crop, question["crop"])

    def close(self) -> None:
        """Make no more pictures ahead."""
        self._ahead.shutdown(wait=False, cancel_futures=True)

    def _make_crop(self, query: Query) -> bytes:
        top, left, bottom, right = crop_box(query, self._asked.images[query.image])
        buffer = io.BytesIO()
        pixels = self._pixels(query.image)[top:bottom, left:right]
        # Little compression: the browser is near, and waiting.
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def _pixels(self, name: str) -> NDArray[np.uint8]:
        return self._images.get(name, lambda: self._asked.pixels_of(name))


def crop_box(query: Query, image: AskedImage) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of what is shown around a query, inside its image."""
    side = max(CROP, 8 * max(query.bottom - query.top, query.right - query.left))
    top, bottom = _around(query.row, side, image.height)
    left, right = _around(query.column, side, image.width)
    return top, left, bottom, right


def _around(centre: int, side: int, length: int) -> tuple[int, int]:
    start = max(0, min(centre - side // 2, length - side))
    return start, min(start + side, length)


def _to_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels)
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()

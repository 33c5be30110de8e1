"""The pictures of the labelling page: whole images made smaller, and crops at full resolution."""

from __future__ import annotations

import io
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from functools import partial
from queue import Full, Queue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alseg.errors import LabelStoreError
from alseg.queries.answers_folder import STOPPED, Stopped
from alseg.queries.asked import AskedImage, AskedRound, Query

LONGEST_SIDE = 1600
"""Pixels of the longer side of a whole image as it is sent."""

CROP = 256
"""Pixels of a crop's sides, or eight windows where that is more."""

MOST_AHEAD = 64
"""Pictures that wait to be made ahead."""

WORKERS = 2
"""Threads that make them."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class TooSlow(Exception):
    """A value that is not made in time."""


class Kept(Generic[T]):
    """Values that are made once, each kept until newer ones need its memory.

    A value that several threads ask for at once is made by the first; the others wait for it.
    """

    def __init__(self, limit: int, cost: Callable[[T], int], patience: float | None = None) -> None:
        """Keep values that cost ``limit`` in sum, at least the newest.

        Whoever asks waits for a value some seconds at most.
        """
        self._limit = limit
        self._cost = cost
        self._patience = patience
        self._is_closed = False
        self._futures: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._costs: dict[Hashable, int] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key; errors of ``make`` are raised and not kept.

        Raises:
            TooSlow: It is not made in time; it is made further, for those who ask later.
            Stopped: Nothing more is made.
        """
        with self._lock:
            if self._is_closed:
                raise Stopped(STOPPED)
            future = self._futures.get(key)
            if future is not None:
                self._futures.move_to_end(key)
            else:
                future = self._futures[key] = Future()
                # A daemon, as what is read from a disk that is gone may hang for ever.
                Thread(target=self._make, args=(key, make, future), daemon=True).start()
        if not wait([future], self._patience).done:
            raise TooSlow
        return future.result()

    def close(self) -> None:
        """Make nothing more, and let nobody wait any longer."""
        with self._lock:
            self._is_closed = True
            waiting = [future for future in self._futures.values() if not future.done()]
        for future in waiting:
            with suppress(InvalidStateError):
                future.set_exception(Stopped(STOPPED))

    def __contains__(self, key: Hashable) -> bool:
        """Whether a value is kept or being made."""
        with self._lock:
            return key in self._futures

    def _make(self, key: Hashable, make: Callable[[], T], future: Future[T]) -> None:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._futures[key]
            with suppress(InvalidStateError):
                future.set_exception(error)
            return
        with self._lock:
            self._costs[key] = self._cost(value)
            while len(self._costs) > 1 and sum(self._costs.values()) > self._limit:
                oldest = next(name for name in self._futures if name in self._costs)
                del self._futures[oldest], self._costs[oldest]
        with suppress(InvalidStateError):
            future.set_result(value)

    @property
    def cost(self) -> int:
        """What is kept now costs this in sum."""
        with self._lock:
            return sum(self._costs.values())


class Pictures:
    """The encoded pictures of a round, made ahead of time and kept in bounded memory."""

    def __init__(self, asked: AskedRound, patience: float | None = None) -> None:
        """Make the pictures of a round, and wait for each some seconds at most."""
        self._asked = asked
        self._names = tuple(asked.images)
        self._images: Kept[NDArray[np.uint8]] = Kept(
            200 << 20, lambda pixels: pixels.nbytes, patience
        )
        self._encoded: Kept[bytes] = Kept(100 << 20, len, patience)
        self._wanted: Queue[Callable[[], object]] = Queue(MOST_AHEAD)
        for _ in range(WORKERS):
            Thread(target=self._work_ahead, name="pictures", daemon=True).start()

    def whole(self, number: int) -> bytes:
        """Return an image, found by its number in the round, as a JPEG.

        Raises:
            IndexError: There is no such image.
            Stopped: No more pictures are made.
            LabelStoreError: The image cannot be read, or takes too long.
        """
        name = self._names[number]
        return self._get(number, name, lambda: _to_jpeg(self._pixels(name)))

    def crop(self, query_id: str) -> bytes:
        """Return what lies around a query as a PNG.

        Raises:
            KeyError: There is no such query.
            Stopped: No more pictures are made.
            LabelStoreError: The image cannot be read, or takes too long.
        """
        query = self._asked.by_id[query_id]
        return self._get(query_id, query.image, lambda: self._make_crop(query))

    def prepare(self, questions: Iterable[dict[str, Any]]) -> None:
        """Begin to make the pictures of questions that will soon be asked."""
        for question in questions:
            image, crop = question["image"], question["crop"]
            # Of those that find no place, each is made when it is asked for.
            with suppress(Full):
                if image not in self._encoded:
                    self._wanted.put_nowait(partial(self.whole, image))
                if crop not in self._encoded:
                    self._wanted.put_nowait(partial(self.crop, crop))

    def wait_ahead(self) -> None:
        """Wait until the pictures that are to be made ahead are made."""
        self._wanted.join()

    def close(self) -> None:
        """Make no more pictures; what is being read is not waited for, and leads to nothing."""
        for kept in (self._encoded, self._images):
            kept.close()
        for _ in range(WORKERS):
            # Who waits for something to make learns of the end; where there is much, by that.
            with suppress(Full):
                self._wanted.put_nowait(_stop)

    def _work_ahead(self) -> None:
        while True:
            make = self._wanted.get()
            try:
                make()
            except Stopped:
                return
            except Exception:
                _log.debug("a picture cannot be made ahead", exc_info=True)
            finally:
                self._wanted.task_done()

    def _get(self, key: Hashable, image: str, make: Callable[[], bytes]) -> bytes:
        try:
            return self._encoded.get(key, make)
        except TooSlow:
            raise LabelStoreError(
                f"The image {image} is still being read. See whether its disk answers."
            ) from None

    def _make_crop(self, query: Query) -> bytes:
        top, left, bottom, right = crop_box(query, self._asked.images[query.image])
        buffer = io.BytesIO()
        pixels = self._pixels(query.image)[top:bottom, left:right]
        # Little compression: the browser is near, and waiting.
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def _pixels(self, name: str) -> NDArray[np.uint8]:
        return self._images.get(name, lambda: self._asked.pixels_of(name))


def _stop() -> None:
    raise Stopped(STOPPED)


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

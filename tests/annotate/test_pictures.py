import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.asked import make_round

from alseg.annotate.pictures import Kept, Pictures, crop_box
from alseg.errors import LabelStoreError
from alseg.queries.answers_folder import Stopped
from alseg.queries.asked import AskedImage, AskedRound, Query


def test_what_is_kept_costs_no_more_than_allowed():
    kept, made = Kept(100, len), []

    def get(key, size=30):
        return kept.get(key, lambda: made.append(key) or "x" * size)

    for key in "abc":
        get(key)
    assert kept.cost == 90
    get("a")
    get("d")
    # b was used longest ago.
    assert kept.cost == 90
    get("a")
    assert made == ["a", "b", "c", "d"]
    get("b")
    assert made == ["a", "b", "c", "d", "b"]
    get("huge", 500)
    assert kept.cost == 500
    get("small", 1)
    assert kept.cost == 1


def test_a_value_that_many_ask_for_at_once_is_made_once():
    kept, made, ready = Kept(100, len), [], threading.Event()

    def make():
        ready.wait(20)
        made.append(1)
        return "value"

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(kept.get("key", make))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join(20)
    assert (found, made) == (["value"] * 8, [1])


def test_a_failure_is_not_kept():
    kept = Kept(100, len)
    with pytest.raises(OSError, match="gone"):
        kept.get("key", lambda: (_ for _ in ()).throw(OSError("gone")))
    assert kept.get("key", lambda: "back") == "back"


@given(
    height=st.integers(1, 700), width=st.integers(1, 700), radius=st.integers(0, 80), data=st.data()
)
def test_a_crop_lies_in_its_image_and_holds_the_window(height, width, radius, data):
    row = data.draw(st.integers(0, height - 1))
    column = data.draw(st.integers(0, width - 1))
    box = max(row - radius, 0), max(column - radius, 0)
    end = min(row + radius + 1, height), min(column + radius + 1, width)
    query = Query("q", "a", row, column, *box, *end, 0.0, 0)
    top, left, bottom, right = crop_box(query, AskedImage("a", height, width, ""))
    assert 0 <= top <= box[0] < end[0] <= bottom <= height
    assert 0 <= left <= box[1] < end[1] <= right <= width
    side = max(256, 8 * max(end[0] - box[0], end[1] - box[1]))
    assert (bottom - top, right - left) == (min(side, height), min(side, width))


def test_a_large_image_is_sent_smaller_and_in_its_shape(tmp_path):
    asked = make_round(tmp_path, size=(800, 3200), images=1)
    pictures = Pictures(asked)
    image = Image.open(io.BytesIO(pictures.whole(0)))
    assert image.size == (1600, 400)
    means = asked.pixels_of("city/a").reshape(400, 2, 1600, 2, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(image) - means).mean() < 8
    pictures.close()


def test_pictures_are_there_before_they_are_asked_for(tmp_path, monkeypatch):
    asked = make_round(tmp_path)
    pictures = Pictures(asked)
    pictures.prepare([{"image": 0, "crop": "r001-q000001"}, {"image": 1, "crop": "r001-q000002"}])
    pictures.wait_ahead()
    for name in ("a", "b"):
        (asked.folder / f"images/city/{name}.png").unlink()
    assert pictures.whole(1)[:2] == b"\xff\xd8"
    assert pictures.crop("r001-q000002")[:4] == b"\x89PNG"


def test_a_picture_that_takes_too_long_is_made_further_for_later(tmp_path, monkeypatch):
    asked = make_round(tmp_path)
    pixels, go_on, reads = asked.pixels_of("city/a"), threading.Event(), []

    def read(self, name):
        reads.append(name)
        assert go_on.wait(60)
        return pixels

    monkeypatch.setattr(AskedRound, "pixels_of", read)
    pictures = Pictures(asked, patience=0.01)
    for _ in range(3):
        with pytest.raises(LabelStoreError, match="city/a is still being read"):
            pictures.whole(0)
    with pytest.raises(LabelStoreError, match="city/a is still being read"):
        pictures.crop("r001-q000001")
    go_on.set()
    monkeypatch.setattr(pictures._encoded, "_patience", 20)
    monkeypatch.setattr(pictures._images, "_patience", 20)
    assert pictures.whole(0)[:2] == b"\xff\xd8"
    # However often it was asked for, one thread waits for the disk.
    assert reads == ["city/a"]
    pictures.close()


def test_who_waits_for_a_picture_at_the_end_waits_no_longer():
    kept, begun, go_on = Kept(100, len), threading.Event(), threading.Event()

    def make():
        begun.set()
        assert go_on.wait(60)
        return "late"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(kept.get, "key", make)
        assert begun.wait(20)
        kept.close()
        with pytest.raises(Stopped):
            waiting.result(20)
    with pytest.raises(Stopped):
        kept.get("other", lambda: "value")
    go_on.set()

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from tests.helpers.asked import CLASSES, journal, make_round, random_image
from tests.helpers.served import TOKEN, serve

from alseg.annotate import LabellingServer, Table, open_shares
from alseg.errors import ConfigError
from alseg.queries.answers import Journal, latest

ONE, TWO = "r001-q000001", "r001-q000002"


@pytest.fixture
def asked(tmp_path):
    return make_round(tmp_path)


@pytest.fixture
def client(asked):
    with serve(asked, next_step="alseg fit --resume here") as client:
        yield client


def test_a_page_learns_the_round(client):
    status, content = client.get("/api/round")
    assert status == 200
    assert content["classes"] == list(CLASSES)
    assert content["keys"] == ["1", "2", "3", "4", "5"]
    assert [(answer["word"], answer["key"]) for answer in content["answers"]] == [
        ("mixed", "Space"),
        ("void", "0"),
        ("skip", "ArrowRight"),
    ]
    assert content["people"] == [{"name": "annotator-1", "done": 0, "total": 6}]
    assert content["next"] == "alseg fit --resume here"


def test_an_answer_is_on_disk_and_the_next_query_asked(client, asked):
    first, second = client.state()["ahead"][:2]
    status, state = client.answer(first["id"], 2, seconds=1.5)
    assert status == 200
    assert state["ahead"][0] == second
    assert (state["done"], state["total"]) == (1, 6)
    assert state["last"] == {"id": ONE, "revision": 1, "answer": 2}
    entry = Journal(asked, "annotator-1").entries()[0]
    assert (entry.query, entry.answer, entry.seconds) == (ONE, 2, 1.5)


def test_the_guess_is_told_only_when_it_is_asked_for(client, asked):
    assert "guess" not in json.dumps(client.state()["ahead"])
    assert client.get(f"/api/guess?query={TWO}") == (200, {"guess": asked.queries[1].guess})


def test_a_stale_answer_is_refused_with_the_present_state(client, asked):
    client.answer(ONE, 2)
    status, state = client.answer(ONE, 3)
    assert status == 409
    assert state["ahead"][0]["id"] == TWO
    assert state["last"] == {"id": ONE, "revision": 1, "answer": 2}
    assert journal(asked) == [(ONE, 2)]


def test_of_many_answers_at_once_one_counts(client, asked):
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: client.answer(ONE, number % 5)[0], range(24)))
    assert sorted(replies) == [200] + [409] * 23
    assert len(journal(asked)) == 1


def test_any_number_of_steps_is_taken_back(client, asked):
    for number, query in enumerate(asked.queries[:4]):
        client.answer(query.id, number)
    for query in reversed(asked.queries[:4]):
        last = client.state()["last"]
        assert last["id"] == query.id
        status, state = client.answer(last["id"], None, last["revision"])
        assert (status, state["ahead"][0]["id"]) == (200, query.id)
    assert client.state()["last"] is None
    assert latest(asked) == {"annotator-1": {}}
    assert journal(asked)[4:] == [(query.id, None) for query in reversed(asked.queries[:4])]


def test_only_what_was_answered_last_is_taken_back(client, asked):
    client.answer(ONE, 1)
    client.answer(TWO, 2)
    assert client.answer(ONE, None, 1)[0] == 409
    assert client.answer(asked.queries[2].id, None, 0)[0] == 409
    assert latest(asked) == {"annotator-1": {ONE: 1, TWO: 2}}


def test_an_answer_that_was_taken_back_is_given_anew(client, asked):
    client.answer(ONE, 1)
    client.answer(ONE, None, 1)
    assert client.state()["ahead"][0]["revision"] == 2
    assert client.answer(ONE, 4, 0)[0] == 409
    assert client.answer(ONE, 4, 2)[0] == 200
    assert latest(asked) == {"annotator-1": {ONE: 4}}


def test_the_parts_of_a_mixed_window_are_asked_next_and_not_split(client, asked):
    client.answer(ONE, 1)
    state = client.answer(TWO, "mixed")[1]
    assert [query["id"] for query in state["ahead"][:5]] == [
        *(f"{TWO}.{number}" for number in (1, 2, 3, 4)),
        asked.queries[2].id,
    ]
    assert state["done"] == 1
    # The picture of the window is at hand; its parts need no other.
    assert {query["crop"] for query in state["ahead"][:4]} == {TWO}
    for number in (1, 2, 3):
        state = client.answer(f"{TWO}.{number}", "mixed")[1]
        assert state["done"] == 1
    state = client.answer(f"{TWO}.4", 0)[1]
    assert (state["done"], state["ahead"][0]["id"]) == (2, asked.queries[2].id)
    state = client.answer(f"{TWO}.4", None, 1)[1]
    assert (state["done"], state["ahead"][0]["id"]) == (1, f"{TWO}.4")


def test_a_part_is_asked_only_of_whoever_answered_mixed(client):
    client.answer(TWO, 1)
    assert client.answer(f"{TWO}.1", 1)[0] == 409


def test_nothing_more_is_asked_of_a_dropped_window(tmp_path):
    asked = make_round(tmp_path, split="drop")
    with serve(asked) as client:
        state = client.answer(ONE, "mixed")[1]
        assert (state["done"], state["ahead"][0]["id"]) == (1, TWO)


def test_whoever_waits_for_the_end_is_told_once(tmp_path):
    asked, told = make_round(tmp_path, 2, split="drop"), []
    with serve(asked, when_done=lambda: told.append("done")) as client:
        client.answer(ONE, 1)
        assert told == []
        state = client.answer(TWO, "skip")[1]
        assert (state["ahead"], state["others"], told) == ([], 0, ["done"])


def test_answers_to_a_closed_round_are_refused(asked):
    with serve(asked, is_closed=lambda: True) as client:
        status, content = client.answer(ONE, 1)
    assert status == 410
    assert "its labels are written" in content["error"]
    assert latest(asked) == {}


def test_an_answer_that_cannot_be_written_is_told_and_asked_again(client, asked, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        status, content = client.answer(ONE, 1)
    assert status == 507
    assert "No space left on device" in content["error"]
    assert client.state()["ahead"][0] == {**client.state()["ahead"][0], "id": ONE, "revision": 0}
    assert client.answer(ONE, 1)[0] == 200
    assert journal(asked) == [(ONE, 1)]


def test_pictures_are_those_of_the_round(tmp_path):
    asked = make_round(tmp_path, size=(400, 600))
    with serve(asked) as client:
        query = client.state()["ahead"][1]
        kind, crop = client.request("GET", f"/crop/{query['crop']}")[1:]
        whole = client.request("GET", f"/image/{query['image']}")[2]
    top, left, bottom, right = query["cropBox"]
    expected = random_image(400, 600, seed=1)[top:bottom, left:right]
    assert kind["Content-Type"] == "image/png"
    assert (bottom - top, right - left) == (256, 256)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(crop))), expected)
    # A JPEG keeps smooth colours within a few grey levels of 256.
    small = np.asarray(Image.open(io.BytesIO(whole)), dtype=int)
    assert np.abs(small - random_image(400, 600, seed=1)).mean() < 8


def test_an_image_that_is_gone_is_named(client, asked):
    path = asked.folder / "images/city/a.png"
    image = path.read_bytes()
    path.unlink()
    status, content = client.get("/image/0")
    assert status == 422
    assert "Put it back" in content["error"]
    path.write_bytes(image)
    assert client.request("GET", "/image/0")[0] == 200


def test_a_port_in_use_is_refused_in_words(client, asked):
    table = Table(asked, open_shares(asked))
    with pytest.raises(ConfigError, match=rf"port {client.port}: Address already in use.*--port"):
        LabellingServer(table, TOKEN, port=client.port)

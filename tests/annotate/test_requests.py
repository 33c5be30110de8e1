import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import served
from tests.helpers.served import GOOD, ONE, TOKEN

client = served.unanswered


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"answer": 5}, 422),
        ({"answer": -1}, 422),
        ({"answer": True}, 422),
        ({"answer": [1]}, 422),
        ({"answer": {"a": 1}}, 422),
        ({"answer": "roof"}, 422),
        ({"answer": 1.5}, 422),
        ({"query": "r001-q000099"}, 422),
        ({"query": f"{ONE}.9"}, 422),
        ({"query": 7}, 400),
        ({"person": "nobody"}, 422),
        ({"person": "../../x"}, 422),
        ({"person": None}, 400),
        ({"revision": "0"}, 400),
        ({"revision": 0.5}, 400),
        ({"revision": None}, 400),
        ({"revision": True}, 400),
        ({"revision": 7}, 409),
        ({"seconds": -1}, 400),
        ({"seconds": 1e9}, 400),
        ({"seconds": float("nan")}, 400),
        ({"seconds": float("inf")}, 400),
        ({"extra": 1}, 400),
    ],
)
def test_an_answer_that_is_none_is_refused(client, change, status):
    assert client.post(**{**GOOD, **change})[0] == status


HUGE = [10**400, -(10**400), 10**3000, 1e308, -1e308, 2**63, -1]
ODD = [
    None,
    True,
    [],
    {},
    [[]],
    "",
    "\ud800",
    "\udfff\ud800",
    "\x00",
    "é" * 300,
    "r001-q000001." * 9,
]


@pytest.mark.parametrize("field", GOOD)
@pytest.mark.parametrize("value", [*HUGE, *ODD])
def test_no_value_of_any_field_is_a_defect(client, field, value):
    status, content = client.post(**{**GOOD, field: value})
    assert status in (400, 409, 422)
    assert len(content["error"]) < 400
    assert "defect" not in content["error"]


@pytest.mark.parametrize("field", GOOD)
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 3900])
def test_numbers_that_are_no_json_or_too_large_are_refused(client, field, text):
    body = json.dumps({**GOOD, field: "HERE"}).replace('"HERE"', text).encode()
    status, _, reply = client.request("POST", "/api/answer", body)
    assert status in (400, 422)
    assert set(json.loads(reply)) == {"error"}


@pytest.mark.parametrize("depth", [1, 10, 100, 500, *range(850, 1000, 3), 1900])
def test_no_depth_of_brackets_is_a_defect(client, depth):
    text = json.dumps({**GOOD, "answer": "HERE"}).replace('"HERE"', "[" * depth + "]" * depth)
    status, _, reply = client.request("POST", "/api/answer", text.encode())
    assert status in (400, 422)
    assert len(json.loads(reply)["error"]) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(content=JSON | st.fixed_dictionaries({name: JSON for name in GOOD if name != "query"}))
def test_whatever_json_is_sent_is_refused_in_words(client, content):
    if isinstance(content, dict):
        content = {**content, "query": "r001-q000099"}
    body = json.dumps(content).encode()
    status, _, reply = client.request("POST", "/api/answer", body)
    assert status in (400, 413, 422)
    assert set(json.loads(reply)) == {"error"}


@pytest.mark.parametrize("size", [5_000, 1_000_000, 20_000_000])
def test_a_huge_body_is_refused_in_words(client, size):
    # All of it is sent before the reply is read.
    status, _, reply = client.request("POST", "/api/answer", b"[" * size)
    assert (status, json.loads(reply)) == (413, {"error": "4096 bytes are enough."})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 4000, b"{}"])
def test_what_is_no_answer_is_refused(client, body):
    assert client.request("POST", "/api/answer", body)[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": "4097"}, 413),
        ({"Content-Length": "99999999999999999999"}, 413),
        ({"Content-Length": "-5"}, 411),
        ({"Content-Length": "five"}, 411),
        ({"Content-Length": "²"}, 411),
        ({"Content-Length": None, "Transfer-Encoding": "chunked"}, 411),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_request_of_another_size_or_kind_is_refused(client, headers, status):
    body = json.dumps(GOOD).encode()
    assert client.request("POST", "/api/answer", body, headers)[0] == status
    assert client.request("POST", "/elsewhere", body, headers)[0] == 404


def test_a_body_that_nobody_reads_is_no_next_request(client):
    inner = f"GET /api/round HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    head = f"GET /page.js HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(inner)}\r\n\r\n"
    reply = client.say((head + inner).encode())
    assert reply.count(b"HTTP/1.1 ") == 1
    assert reply.startswith(b"HTTP/1.1 200 ")

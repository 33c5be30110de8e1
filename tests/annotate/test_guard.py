import json
import socket
import stat

import pytest
from tests.annotate.served import TOKEN, serve
from tests.asked import make_round

from alseg.active.answers import Journal
from alseg.annotate.guard import Guard, kept_token

ONE = "r001-q000001"
GOOD = {"person": "annotator-1", "query": ONE, "revision": 0, "answer": 1, "seconds": 1.0}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return make_round(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def client(asked):
    with serve(asked) as client:
        yield client
    assert Journal(asked, "annotator-1").entries() == []


DATA = [
    *("/api/round", "/api/state?person=annotator-1", "/api/review", f"/api/guess?query={ONE}"),
    *("/image/0", f"/crop/{ONE}"),
]


@pytest.mark.parametrize("token", ["", "t", "t" * 31, "t" * 33, "T" * 32, "é" * 16])
def test_nothing_is_told_without_the_token(client, token):
    for path in DATA:
        header = f"Bearer {token}".encode().decode("latin-1")
        status, _, body = client.request("GET", path, headers={"Authorization": header})
        assert status == 401
        assert b"the address that the terminal shows" in body
    assert client.request("GET", f"/?token={'t' * 31}")[0] == 403


def test_no_answer_is_taken_without_the_token(client):
    body = json.dumps(GOOD).encode()
    for header in (None, TOKEN, f"Basic {TOKEN}", "Bearer x"):
        headers = {"Authorization": header}
        assert client.request("POST", "/api/answer", body, headers)[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_that_was_made_to_point_here_is_refused(client, host):
    for path in (*DATA, f"/?token={TOKEN}", "/page.js"):
        assert client.request("GET", path, headers={"Host": host})[0] == 403


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_a_tunnel_from_another_port_is_let_in(client, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.request("GET", "/api/round", headers=headers)[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "file://"]
)
def test_another_sites_page_is_refused(client, origin):
    body = json.dumps(GOOD).encode()
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    assert client.request("POST", "/api/answer", body, headers)[0] == 403
    assert client.request("GET", "/api/round", headers={"Origin": origin})[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_calls_another_site_is_refused(client, site):
    headers = {"Sec-Fetch-Site": site}
    assert client.request("GET", f"/?token={TOKEN}", headers=headers)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page.js/../server.py",
        "/page.html",
        "//etc/passwd",
        "/image/..%2f..%2fround.json",
        "/image/../round.json",
        "/image/-1",
        "/image/2",
        "/image/%30",
        "/image/%D9%A3",
        "/image/",
        "/image/0/0",
        "/crop/../round.json",
        "/crop/..%2f..%2fround.json",
        "/crop/%2e%2e",
        "/crop/r001-q000001.1",
        "/crop/r001-q000099",
        "/crop/city/a",
        "/crop/",
        "/crop/%00",
        "/answers/annotator-1.jsonl",
        "/.token",
        "/api",
        "/api/",
        "/api/guess?query=../x",
        "http://127.0.0.1/etc/passwd",
        "/" + "a" * 5000,
    ],
)
def test_no_path_leads_to_a_file(client, path):
    status, _, body = client.request("GET", path)
    assert status in (400, 404)
    assert set(json.loads(body)) == {"error"}


def test_an_address_that_is_none_is_refused_to_everybody(client):
    # Python's own client does not send it.
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = connection.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"This is no address." in reply


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


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "/api/round")[0] == 501


def test_what_is_no_http_does_no_harm(client):
    for noise in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 9):
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
            connection.sendall(noise)
    assert client.get("/api/round")[0] == 200


@pytest.mark.parametrize("path", [f"/?token={TOKEN}", "/page.css", "/api/round", "/nowhere"])
def test_every_reply_keeps_other_sites_and_caches_out(client, path):
    headers = client.request("GET", path)[1]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Python" not in headers["Server"]


def test_a_server_for_all_is_reached_by_address_but_not_by_a_strangers_name():
    guard = Guard(TOKEN, "0.0.0.0")
    for host in ("192.168.1.7:8765", "[fe80::1]:8765", "localhost:8765", socket.gethostname()):
        assert guard.objection({"Host": host}) is None
    for host in ("evil.example:8765", "", "[nonsense]"):
        assert guard.objection({"Host": host}) is not None
    assert Guard(TOKEN, "127.0.0.1").objection({"Host": "192.168.1.7:8765"}) is not None


def test_the_token_stays_the_same_and_is_for_its_owner_alone(tmp_path):
    token = kept_token(tmp_path)
    assert len(token) >= 32
    assert kept_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / ".token").stat().st_mode) == 0o600
    (tmp_path / ".token").write_text("short")
    assert len(kept_token(tmp_path)) >= 32
    other = tmp_path / "other"
    other.mkdir()
    assert kept_token(other) != token

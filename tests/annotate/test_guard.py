import json
import os
import shutil
import socket
import stat

import pytest
from tests.helpers import served
from tests.helpers.served import GOOD, ONE, TOKEN

from alseg.annotate.guard import Guard, kept_token

client = served.unanswered


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


STRANGERS = r"""
evil.example
evil.example:80
127.0.0.1.evil.example
localhost.evil
[::1]evil
[::1]evil.example:80
[::1].evil
[::1
::1
::1]
[::1]:
[::1]:80:80
[]
[localhost]
[127.0.0.1]
127.0.0.1:80@evil
evil@127.0.0.1
localhost:evil
localhost:
localhost:99999
localhost:-1
localhost:8 0
localhost.
localhost.:80
127.0.0.1.
127.0.0.1, evil.example
localhost evil
localhost/evil
localhost#evil
localhost?evil
localhost\evil
http://localhost
xlocalhost
127.1
2130706433
0x7f.0.0.1
0177.0.0.1
127.0.0.2
0.0.0.0
[::]
[::ffff:127.0.0.1]
[0::1]
""".splitlines()


@pytest.mark.parametrize("host", [*STRANGERS, "localhost\xad", "\uff4cocalhost", "localhost\x00"])
def test_a_name_that_was_made_to_point_here_is_refused(client, host):
    for path in (*DATA, f"/?token={TOKEN}", "/page.js"):
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        reply = client.say(head.encode())
        assert reply.startswith(b"HTTP/1.1 403 ")
        assert set(json.loads(reply.partition(b"\r\n\r\n")[2])) == {"error"}


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nhost: evil.example\r\n",
        "Host: evil.example\r\nHost: localhost\r\n",
        "Host: localhost\r\n evil.example\r\n",
        "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\n",
        f"Host: localhost\r\nAuthorization: Bearer {'x' * 32}\r\n",
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_names_the_server_once(client, lines, version):
    head = f"GET /api/round HTTP/{version}\r\n{lines}Authorization: Bearer {TOKEN}\r\n\r\n"
    assert client.say(head.encode()).split(b" ")[1] in (b"400", b"403")


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost:9/api/round", "localhost:9", b"200"),
        ("http://evil.example/api/round", "localhost", b"400"),
        ("http://evil.example/api/round", "evil.example", b"403"),
        ("http://localhost.evil/api/round", "localhost", b"400"),
        ("http://localhost@evil.example/api/round", "localhost", b"400"),
        ("https://localhost/api/round", "localhost", b"400"),
        ("localhost:80", "localhost", b"400"),
        ("*", "localhost", b"400"),
        ("api/round", "localhost", b"400"),
    ],
)
def test_a_target_with_a_host_of_its_own_has_the_same(client, target, host, status):
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    assert client.say(f"{head}Connection: close\r\n\r\n".encode()).split(b" ")[1] == status


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
    ("path", "mode", "target", "status"),
    [
        (f"/?token={TOKEN}", "navigate", "document", 200),
        (f"/review?token={TOKEN}", "navigate", "document", 200),
        (f"/?token={'x' * 32}", "navigate", "document", 403),
        (f"/?token={TOKEN}", "navigate", "iframe", 403),
        (f"/?token={TOKEN}", "no-cors", "empty", 403),
        (f"/?token={TOKEN}", "cors", "document", 403),
        ("/api/round", "navigate", "document", 403),
        ("/page.js", "no-cors", "script", 403),
    ],
)
def test_another_site_opens_a_page_whose_token_it_knows_and_reads_nothing(
    client, path, mode, target, status
):
    fetch = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": target}
    assert client.request("GET", path, headers=fetch)[0] == status


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
    reply = client.say(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"This is no address." in reply


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods_are_refused(client, method):
    status, _, body = client.request(method, "/api/round")
    assert status == 501
    assert method == "HEAD" or "Unsupported method" in json.loads(body)["error"]


@pytest.mark.parametrize("line", ["GET", "GET /api/round", "GET / HTTP/9.9", "POST /", "A B C D"])
def test_what_is_no_request_is_refused_with_a_status(client, line):
    head, _, body = client.say(f"{line}\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] in (b"400", b"403", b"505")
    assert set(json.loads(body)) == {"error"}


def test_what_is_no_http_does_no_harm(client):
    for noise in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 9):
        with client.connect() as connection:
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


def test_a_token_that_came_with_a_copy_of_the_folder_is_replaced(tmp_path):
    (tmp_path / "sent").mkdir()
    token = kept_token(tmp_path / "sent")
    shutil.copytree(tmp_path / "sent", tmp_path / "received")
    assert stat.S_IMODE((tmp_path / "received/.token").stat().st_mode) == 0o600
    assert kept_token(tmp_path / "received") != token
    assert kept_token(tmp_path / "sent") == token


@pytest.mark.parametrize("change", ["others read", "link", "pipe", "text"])
def test_a_token_that_others_may_know_is_replaced(tmp_path, change):
    path, elsewhere = tmp_path / ".token", tmp_path / "elsewhere"
    token = kept_token(tmp_path)
    if change == "others read":
        path.chmod(0o640)
    elif change == "link":
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    elif change == "text":
        path.write_text('"><script>alert(1)</script>' * 2)
    else:
        path.unlink()
        os.mkfifo(path)
    new = kept_token(tmp_path)
    assert new != token
    assert new.replace("-", "").replace("_", "").isalnum()
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert path.read_text().split()[0] == new
    if change == "link":
        assert elsewhere.read_text().split()[0] == token

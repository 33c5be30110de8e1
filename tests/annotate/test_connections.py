"""Connections that say nothing, or little at a time: nobody with the token waits for them."""

import errno
import json
import select
import socket
import struct
from contextlib import ExitStack, contextmanager, suppress
from socketserver import TCPServer
from threading import Event
from unittest.mock import Mock

import pytest
from tests.helpers.annotate_command import Command
from tests.helpers.asked import make_round
from tests.helpers.served import TOKEN, serve

from alseg.annotate.connections import Connections, Limits

GET = (
    f"GET /api/round HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
)
POST = (
    f"POST /api/answer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Type: application/json\r\nContent-Length: 200\r\n\r\n"
).encode()


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return make_round(tmp_path_factory.mktemp("run"), size=(1200, 1600), images=1)


@contextmanager
def half_open(client, count, said=b"GET / HTTP/1.1\r\nHost: loc"):
    """Connections that begin a request and do not end it."""
    with ExitStack() as stack:
        connections = [stack.enter_context(client.connect()) for _ in range(count)]
        for connection in connections:
            # The server may have closed it already.
            with suppress(OSError):
                connection.sendall(said)
        yield connections


def is_closed(connection):
    """Whether the server closes a connection; waits for it as long as the connection's timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def trickle(connection, most=1_000):
    """Send a byte every 10 ms until the server closes the connection; whether it does."""
    for _ in range(most):
        try:
            connection.sendall(b"a")
        except ConnectionError:
            return True
        if select.select([connection], [], [], 0.01)[0]:
            return True
    return False


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: l"])
def test_a_head_that_does_not_end_is_not_waited_for(asked, said):
    with serve(asked, limits=Limits(head=0.2)) as client, client.connect() as connection:
        connection.sendall(said)
        assert is_closed(connection)


@pytest.mark.parametrize("said", [b"GET /", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_head_that_comes_byte_by_byte_has_no_more_time(asked, said):
    with serve(asked, limits=Limits(head=0.2)) as client, client.connect() as connection:
        connection.sendall(said)
        assert trickle(connection)


def test_a_body_that_comes_byte_by_byte_has_no_more_time(asked):
    with serve(asked, limits=Limits(body=0.2)) as client, client.connect() as connection:
        connection.sendall(POST)
        assert trickle(connection, most=190)
        assert b"HTTP/1.1 408 " in connection.makefile("rb").readline()


def test_a_connection_that_is_left_open_ends(asked):
    with serve(asked, limits=Limits(idle=0.2)) as client, client.connect() as connection:
        connection.sendall(GET)
        reply = connection.makefile("rb").read()
        assert reply.startswith(b"HTTP/1.1 200 ")


def test_a_browser_that_takes_no_reply_is_not_waited_for(asked, monkeypatch):
    limits, ended = Limits(reply=0.2), Event()
    with serve(asked, limits=limits) as client, socket.socket() as connection:
        forget = client.server.connections.forget
        monkeypatch.setattr(
            client.server.connections, "forget", lambda one: (forget(one), ended.set())
        )
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", client.port))
        image = client.server.pictures.whole(0)
        # More than the buffers of the system hold between the two.
        connection.sendall(GET.replace(b"/api/round", b"/image/0") * 40)
        assert ended.wait(20)
        connection.settimeout(20)
        received = 0
        while not is_closed(connection):
            received += 1 + len(connection.recv(1 << 20))
        assert received < 40 * len(image)


def test_half_open_connections_lock_nobody_out(asked):
    with serve(asked) as client, client.connect() as before:
        before.sendall(GET)
        assert before.recv(15) == b"HTTP/1.1 200 OK"
        with half_open(client, 256) as connections:
            for _ in range(5):
                assert client.get("/api/round")[0] == 200
            page = client.request("GET", f"/?token={TOKEN}", headers={"Authorization": None})
            assert page[0] == 200
            # Whoever has shown the token keeps the connection.
            before.sendall(GET)
            assert before.recv(1) != b""
            # Of one address there are 64; the oldest have made room for the others.
            assert len(client.server.connections) <= 64
            assert all(is_closed(connection) for connection in connections[: 256 - 64])


def test_an_address_takes_no_place_of_another():
    connections = Connections(8, 3)
    sockets = {}

    def admit(name, address):
        sockets[name] = Mock()
        assert connections.admit(sockets[name], address)

    def closed():
        return [name for name in sockets if sockets[name].shutdown.called]

    for name in "abc":
        admit(name, "10.0.0.1")
    admit("d", "10.0.0.2")
    admit("e", "10.0.0.1")
    assert closed() == ["a"]
    # The rest of an address of this kind is chosen by its owner.
    for number in range(4):
        admit(f"v{number}", f"2001:db8::{number}")
    assert closed() == ["a", "v0"]
    assert len(connections) == 7
    admit("f", "10.0.0.3")
    admit("g", "10.0.0.4")
    assert closed() == ["a", "b", "v0"]
    assert len(connections) == 8


def test_who_has_shown_the_token_keeps_the_place():
    connections = Connections(3, 3)
    known, waiting, busy, new, newest = (Mock() for _ in range(5))
    for one in (known, waiting, busy):
        assert connections.admit(one, "127.0.0.1")
    connections.find(known).is_known = True
    with connections.answering(connections.find(busy)):
        assert connections.admit(new, "127.0.0.1")
        assert waiting.shutdown.called
        assert connections.admit(newest, "127.0.0.1")
        assert new.shutdown.called
        assert not busy.shutdown.called
    for one in (busy, newest):
        connections.find(one).is_known = connections.find(one).is_busy = True
    assert connections.admit(Mock(), "127.0.0.1")
    assert known.shutdown.called
    for one in connections._open():
        one.is_known = one.is_busy = True
    assert not connections.admit(Mock(), "127.0.0.1")
    assert not busy.shutdown.called


def test_a_system_without_descriptors_is_not_asked_all_the_time(asked, monkeypatch):
    with serve(asked) as client, client.connect() as waiting:
        waiting.sendall(b"GET")
        assert client.get("/api/round")[0] == 200
        server, pauses = client.server, []
        real = TCPServer.get_request
        failures = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]

        def get_request(self):
            if failures:
                raise OSError(failures.pop(), "no room")
            return real(self)

        monkeypatch.setattr("socketserver.TCPServer.get_request", get_request)
        monkeypatch.setattr(server._stopping, "wait", pauses.append)
        assert client.get("/api/round")[0] == 200
        assert pauses == [0.1] * 3
        # It has no token, and made room.
        assert is_closed(waiting)


def test_a_process_with_few_descriptors_answers_and_writes(tmp_path):
    make_round(tmp_path)
    limited = ("bash", "-c", 'ulimit -n 40; exec "$0" "$@"')
    command = Command(tmp_path, before=limited)
    try:
        client = command.client()
        with half_open(client, 256):
            assert client.answer("r001-q000001", 1)[0] == 200
            assert client.request("GET", "/image/1")[0] == 200
            assert json.loads(client.request("GET", "/api/round")[2])["number"] == 1
    finally:
        command.stop()


def test_connections_that_are_reset_leave_nothing_behind(asked):
    with serve(asked) as client:
        for _ in range(100):
            with client.connect() as connection:
                connection.sendall(b"GET / HT")
                # Closed with a reset, as by a machine that is switched off.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert client.get("/api/round")[0] == 200

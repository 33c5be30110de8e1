"""A labelling server on a round, and a client that says what a page says."""

import json
import socket
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Thread

import pytest
from tests.helpers.asked import make_round

from alseg.annotate import LabellingServer, Table, open_shares
from alseg.queries.answers import Journal

TOKEN = "t" * 32
ONE = "r001-q000001"
GOOD = {"person": "annotator-1", "query": ONE, "revision": 0, "answer": 1, "seconds": 1.0}
"""An answer as a page sends it."""


class Client:
    """Talks to a server as a page does; the headers can be changed.

    Attributes:
        server: The server, where it runs in this process.
    """

    def __init__(self, port, token=TOKEN, server=None):
        self.port, self.token, self.server = port, token, server

    def connect(self):
        """Return a socket that is connected and has said nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def say(self, data):
        """Send bytes, and return all that comes until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(data)
            return connection.makefile("rb").read()

    def request(self, method, path, body=None, headers=()):
        """Return status, headers and body; a header of None is left out."""
        sent = {"Authorization": f"Bearer {self.token}", **dict(headers)}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in sent, skip_accept_encoding=True)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            sent.setdefault("Content-Length", str(len(body)))
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, reply.headers, content

    def get(self, path, **headers):
        """Return the status and the JSON of a GET."""
        status, _, body = self.request("GET", path, headers=headers)
        return status, json.loads(body)

    def post(self, **answer):
        """Return the status and the JSON of an answer."""
        status, _, body = self.request("POST", "/api/answer", json.dumps(answer).encode())
        return status, json.loads(body)

    def answer(self, query, answer, revision=0, person="annotator-1", seconds=1.0):
        """Answer a query."""
        return self.post(
            person=person, query=query, revision=revision, answer=answer, seconds=seconds
        )

    def state(self, person="annotator-1"):
        """What the person's page shows."""
        status, content = self.get(f"/api/state?person={person}")
        assert status == 200, content
        return content


@contextmanager
def serve(asked, annotators=None, overlap=None, is_closed=lambda: False, **more):
    """Serve a round on a free port; yields a client."""
    table = Table(asked, open_shares(asked, annotators, overlap), is_closed)
    with LabellingServer(table, TOKEN, port=0, **more) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Client(server.server_address[1], server=server)
        finally:
            server.shutdown()
            thread.join(20)


@pytest.fixture(scope="module")
def unanswered(tmp_path_factory):
    """A client of a server for all tests of a module, none of which answers anything."""
    asked = make_round(tmp_path_factory.mktemp("run"))
    with serve(asked) as client:
        yield client
    assert Journal(asked, "annotator-1").entries() == []

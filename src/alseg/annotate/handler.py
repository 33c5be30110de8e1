"""One request of a browser and its reply: the page, its pictures, or JSON."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs, urlsplit

from alseg.annotate.connections import Reading
from alseg.annotate.guard import HEADERS
from alseg.annotate.requests import BadRequest, read_answer, whole_number
from alseg.annotate.reviewing import review_item, review_page
from alseg.annotate.table import Closed, NotKept, Stale
from alseg.errors import LabelStoreError
from alseg.queries.answers import REVIEW
from alseg.queries.answers_folder import STOPPED, Stopped

if TYPE_CHECKING:
    from alseg.annotate.server import LabellingServer

LARGEST = 4096
"""Bytes of the largest request; an answer has some 150."""

MOST_DISCARDED = 64 << 20
"""Bytes of a refused request that are read past, so that its sender gets to see the reply."""

ONCE = ("Host", "Origin", "Authorization", "Content-Length", "Content-Type", "Sec-Fetch-Site")
"""Headers that a request has once at most, as each of two readers may take another one."""

_PAGES = {"/": "page.html", "/review": "review.html"}
_SCRIPTS = ("controls", "drawing", "page", "pointer", "review", "server", "view", "words")
_FILES = {
    "/page.css": "text/css; charset=utf-8",
    **{f"/{name}.js": "text/javascript; charset=utf-8" for name in _SCRIPTS},
    "/icon.svg": "image/svg+xml",
}
_HTML = "text/html; charset=utf-8"

Reply = tuple[HTTPStatus, str, bytes]
"""Status, kind and body."""

_log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Answers requests; nothing in one is ever taken for the name of a file."""

    server: LabellingServer
    protocol_version = "HTTP/1.1"
    # Of what is no request, too: without it, a refusal would have no status.
    default_request_version = "HTTP/1.0"
    # Head and body are two packets; the second would wait for the browser to confirm the first.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Read what the connection sends within the time that it has."""
        super().setup()
        self.rfile.close()
        self._reading = Reading(self.connection)
        self.rfile = BufferedReader(self._reading)
        self._place = self.server.connections.find(self.connection)

    def handle_one_request(self) -> None:
        """Answer one request, whose head has to be there in time."""
        limits = self.server.limits
        self._reading.allow(limits.idle if self._place.is_known else limits.head)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Send a page, a picture or a part of the state."""
        self._reply(self._get)

    def do_POST(self) -> None:
        """Take an answer."""
        self._reply(self._post)

    def _reply(self, work: Callable[[], Reply]) -> None:
        self._taken = 0
        if self.command == "GET" and {"content-length", "transfer-encoding"} & {
            name.lower() for name in self.headers
        }:
            # A body that nobody reads would be read as the next request.
            self.close_connection = True
        with self.server.connections.answering(self._place) as is_answered:
            self._send(*self._result(work if is_answered else _refuse))
        if self.close_connection:
            self._discard()

    def _result(self, work: Callable[[], Reply]) -> Reply:
        try:
            self._check_head()
            return work()
        except Refused as refused:
            # What a refused request still holds would be read as the next one.
            self.close_connection = True
            if self.command == "GET" and self._wants_page():
                reason = html.escape(str(refused)).encode()
                return refused.status, _HTML, _file("refused.html").replace(b"{reason}", reason)
            return _json({"error": str(refused)}, refused.status)
        except BadRequest as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except Stopped as stopped:
            self.close_connection = True
            return _json({"error": str(stopped)}, HTTPStatus.SERVICE_UNAVAILABLE)
        except LabelStoreError as error:
            return _json({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except Exception as error:
            _log.exception("the labelling page failed")
            words = f"This is a defect of alseg: {type(error).__name__}."
            return _json({"error": words}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.connection.settimeout(self.server.limits.reply)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _discard(self) -> None:
        length = self.headers.get("Content-Length", "0")
        left = int(length) if length.isascii() and length.isdecimal() and len(length) <= 9 else 0
        self._reading.allow(self.server.limits.body)
        with suppress(OSError):
            left = min(left, MOST_DISCARDED) - self._taken
            while left > 0 and (read := len(self.rfile.read1(min(left, 1 << 16)))):
                left -= read

    def _wants_page(self) -> bool:
        path = self.path.partition("?")[0]
        return path in _PAGES and "text/html" in (self.headers.get("Accept") or "")

    def _check_head(self) -> None:
        for name in ONCE:
            if len(self.headers.get_all(name, [])) > 1:
                raise Refused(HTTPStatus.BAD_REQUEST, f"A request has one {name}, this has more.")
        opens_page = self.command == "GET" and self.path.partition("?")[0] in _PAGES
        objection = self.server.guard.objection(self.headers, opens_page=opens_page)
        if objection is not None:
            raise Refused(HTTPStatus.FORBIDDEN, objection)
        if not self.path.startswith("/"):
            # The form that proxies are sent has a host of its own.
            ours = f"http://{self.headers['Host']}/"
            if not self.path.startswith(ours):
                raise Refused(HTTPStatus.BAD_REQUEST, "This is no address.")
            self.path = self.path[len(ours) - 1 :]

    def _get(self) -> Reply:
        try:
            url = urlsplit(self.path)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no address.") from error
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in _FILES:
            return HTTPStatus.OK, _FILES[url.path], _file(url.path[1:])
        if url.path in _PAGES:
            if not self._knows(asked.get("token", "")):
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    "Open the whole address that the terminal shows, with its token.",
                )
            return HTTPStatus.OK, _HTML, _file(_PAGES[url.path])
        self._check_token()
        return self._get_data(url.path, asked)

    def _get_data(self, path: str, asked: dict[str, str]) -> Reply:
        table, pictures = self.server.table, self.server.pictures
        kind, _, name = path[1:].partition("/")
        try:
            if kind == "image":
                return HTTPStatus.OK, "image/jpeg", pictures.whole(whole_number(name))
            if kind == "crop":
                return HTTPStatus.OK, "image/png", pictures.crop(name)
        except LookupError:
            raise Refused(HTTPStatus.NOT_FOUND, "The round has no such picture.") from None
        if path == "/api/round":
            return _json({**table.round(), "next": self.server.next_step})
        if path == "/api/state":
            return _json(self._state(asked.get("person", "")))
        if path == "/api/guess":
            try:
                return _json({"guess": table.asked.find(asked.get("query", "")).guess})
            except LookupError:
                raise Refused(HTTPStatus.NOT_FOUND, "The round has no such query.") from None
        if path == "/api/review":
            start = whole_number(asked.get("start", "0"))
            return _json(
                review_page(table, asked.get("show", "all"), asked.get("answer", ""), start)
            )
        raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _post(self) -> Reply:
        self._check_token()
        if self.path != "/api/answer":
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        sent = read_answer(self._body())
        table = self.server.table
        status = HTTPStatus.OK
        error = {}
        try:
            table.answer(sent.person, sent.query, int(sent.revision), sent.answer, sent.seconds)
        except Stale as stale:
            status, error = HTTPStatus.CONFLICT, {"error": str(stale)}
        except Closed as closed:
            return _json({"error": str(closed)}, HTTPStatus.GONE)
        except NotKept as error_of_disk:
            return _json({"error": str(error_of_disk)}, HTTPStatus.INSUFFICIENT_STORAGE)
        if sent.person == REVIEW:
            return _json({**review_item(table, sent.query), **error}, status)
        state = self._state(sent.person)
        is_done = not state["ahead"] and not state["others"]
        if status == HTTPStatus.OK and sent.answer is not None and is_done:
            self.server.when_done()
        return _json({**state, **error}, status)

    def _state(self, person: str) -> dict[str, Any]:
        state = self.server.table.state(person)
        self.server.pictures.prepare(state["ahead"])
        return state

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Say how long the request is.")
        if len(length) > 9 or int(length) > LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{LARGEST} bytes are enough.")
        self._reading.allow(self.server.limits.body)
        try:
            body = self.rfile.read(int(length))
        except OSError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The request came too slowly.") from error
        self._taken = len(body)
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Answers are application/json.")
        return body

    def _knows(self, token: str) -> bool:
        """Whether a token is the right one; then the connection has shown it."""
        known = self.server.guard.knows_token(token)
        self._place.is_known |= known
        return known

    def _check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._knows(token):
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "Open the page at the address that the terminal shows."
            )

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request that can be read, in a sentence as all else."""
        self.close_connection = True
        words = message or HTTPStatus(code).phrase
        self._send(*_json({"error": f"{words:.200}."}, HTTPStatus(code)))

    def end_headers(self) -> None:
        """Send with every reply, also those of the base class, what keeps other sites out."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Tell nobody which Python this is."""
        return "alseg"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for people, and the token out of every log."""


def _json(content: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return status, "application/json", json.dumps(content).encode()


def _refuse() -> NoReturn:
    raise Stopped(STOPPED)


def _file(name: str) -> bytes:
    return (files("alseg.annotate") / "page" / name).read_bytes()

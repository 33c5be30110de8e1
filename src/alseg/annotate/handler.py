"""One request of a browser and its reply: the page, its pictures, or JSON."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from alseg.active.answers import REVIEW
from alseg.annotate.guard import HEADERS
from alseg.annotate.requests import BadRequest, read_answer, whole_number
from alseg.annotate.reviewing import review_item, review_page
from alseg.annotate.table import Closed, NotKept, Stale
from alseg.errors import LabelStoreError

if TYPE_CHECKING:
    from alseg.annotate.server import LabellingServer

LARGEST = 4096
"""Bytes of the largest request; an answer has some 150."""

SILENCE = 60.0
"""Seconds after which a connection that says nothing is closed."""

_PAGES = {"/": "page.html", "/review": "review.html"}
_FILES = {
    "/page.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/review.js": "text/javascript; charset=utf-8",
    "/shared.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
_HTML = "text/html; charset=utf-8"

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
    timeout = SILENCE
    # Head and body are two packets; the second would wait for the browser to confirm the first.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Send a page, a picture or a part of the state."""
        self._reply(self._get)

    def do_POST(self) -> None:
        """Take an answer."""
        self._reply(self._post)

    def _reply(self, work: Any) -> None:
        try:
            objection = self.server.guard.objection(self.headers)
            if objection is not None:
                raise Refused(HTTPStatus.FORBIDDEN, objection)
            status, kind, body = work()
        except Refused as refused:
            # What a refused request still holds would be read as the next one.
            self.close_connection = True
            status, kind, body = _json({"error": str(refused)}, refused.status)
        except BadRequest as error:
            status, kind, body = _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except LabelStoreError as error:
            status, kind, body = _json({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except Exception as error:
            _log.exception("the labelling page failed")
            words = f"This is a defect of alseg: {type(error).__name__}."
            status, kind, body = _json({"error": words}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _get(self) -> tuple[HTTPStatus, str, bytes]:
        try:
            url = urlsplit(self.path)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no address.") from error
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in _FILES:
            return HTTPStatus.OK, _FILES[url.path], _file(url.path[1:])
        if url.path in _PAGES:
            if not self.server.guard.knows_token(asked.get("token", "")):
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    "Open the whole address that the terminal shows, with its token.",
                )
            return HTTPStatus.OK, _HTML, _file(_PAGES[url.path])
        self._check_token()
        return self._get_data(url.path, asked)

    def _get_data(self, path: str, asked: dict[str, str]) -> tuple[HTTPStatus, str, bytes]:
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

    def _post(self) -> tuple[HTTPStatus, str, bytes]:
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
        if not (length.isascii() and length.isdecimal()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Say how long the request is.")
        if len(length) > 9 or int(length) > LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{LARGEST} bytes are enough.")
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Answers are application/json.")
        return body

    def _check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self.server.guard.knows_token(token):
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "Open the page at the address that the terminal shows."
            )

    def end_headers(self) -> None:
        """Send with every reply, also those of the base class, what keeps other sites out."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Tell nobody which Python this is."""
        return "alseg"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for people."""
        _log.debug(format, *args)


def _json(
    content: dict[str, Any], status: HTTPStatus = HTTPStatus.OK
) -> tuple[HTTPStatus, str, bytes]:
    return status, "application/json", json.dumps(content).encode()


def _file(name: str) -> bytes:
    return (files("alseg.annotate") / "page" / name).read_bytes()

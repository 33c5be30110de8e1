"""The small server behind the labelling page."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from threading import Event
from typing import Any

from alseg.annotate.connections import Connections, Limits
from alseg.annotate.guard import Guard
from alseg.annotate.handler import Handler
from alseg.annotate.pictures import Pictures
from alseg.annotate.table import Table
from alseg.errors import ConfigError

PORT = 8765

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What a system says that opens no more connections."""

PAUSE = 0.1
"""Seconds until it is asked again."""

LIMITS = Limits()

_log = logging.getLogger(__name__)


class LabellingServer(ThreadingHTTPServer):
    """Serves one round to browsers until it is closed.

    Attributes:
        table: The answers.
        pictures: The images.
        guard: Who may talk to it.
        next_step: The command to run once everything is answered.
        when_done: Called after an answer that leaves no query open.
        limits: How many connections there may be, and how long each may take.
        connections: Those that are open.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        table: Table,
        token: str,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        next_step: str = "",
        when_done: Callable[[], None] = lambda: None,
        limits: Limits = LIMITS,
    ) -> None:
        """Listen for browsers.

        Args:
            table: The round; it takes no more answers once the server is closed.
            token: What the URL has to carry.
            host: The address to listen at.
            port: The port; None takes the usual one, or any other if that is in use.
            next_step: See the attribute.
            when_done: See the attribute.
            limits: See the attribute.

        Raises:
            ConfigError: It cannot listen there.
        """
        self.table = table
        self.guard = Guard(token, host)
        self.next_step = next_step
        self.when_done = when_done
        self.limits = limits
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, PORT if port is None else port), Handler, bind_and_activate=False)
        try:
            self._listen(port)
        except (OSError, OverflowError) as error:
            self.socket.close()
            raise ConfigError(
                f"Cannot listen at {host}, port {PORT if port is None else port}: "
                f"{str(getattr(error, 'strerror', None) or error).rstrip('.')}. Name another with "
                "--port or --host."
            ) from error
        self.connections = Connections(limits.connections, limits.connections_of_one)
        self.pictures = Pictures(table.asked, limits.picture)
        self._stopping = Event()
        self._interrupted = Event()

    def _listen(self, port: int | None) -> None:
        try:
            self.server_bind()
            self.server_activate()
        except OSError as error:
            if port is not None or error.errno != errno.EADDRINUSE:
                raise
            self.socket.close()
            self.socket = socket(self.address_family, self.socket_type)
            self.server_address = (self.server_address[0], 0)
            self.server_bind()
            self.server_activate()

    def url(self, page: str = "/") -> str:
        """Return where a browser finds a page, with the token."""
        name, port = str(self.server_address[0]), self.server_address[1]
        if name in ("0.0.0.0", "::"):
            name = self.server_name
        if ":" in name:
            name = f"[{name}]"
        return f"http://{name}:{port}{page}?token={self.guard.token}"

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; wait a moment where the system has no room for one."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in NO_ROOM:
                self._make_room()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, if there is room for it."""
        if not self.connections.admit(request, client_address[0]):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # The system starts no more threads.
            self.shutdown_request(request)
            self._make_room()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.connections.forget(request)
        super().shutdown_request(request)

    def _make_room(self) -> None:
        self.connections.make_room()
        self._stopping.wait(PAUSE)

    def interrupt(self) -> None:
        """Let ``serve_forever`` raise ``KeyboardInterrupt`` between two connections."""
        self._interrupted.set()

    def service_actions(self) -> None:
        """Called by ``serve_forever`` between any two connections."""
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    def shutdown(self) -> None:
        """Accept no more connections; called by another thread than the one that serves."""
        self._stopping.set()
        super().shutdown()

    def server_close(self) -> None:
        """End, so that nothing is written once this returns.

        Requests are refused first; then those at work have a moment to be answered. A picture that
        is still being read holds nothing up.
        """
        self._stopping.set()
        self.connections.refuse()
        super().server_close()
        self.pictures.close()
        self.connections.wait(self.limits.last_replies)
        self.table.close()
        self.connections.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong, but not that a browser hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            _log.exception("a request from %s failed", client_address)

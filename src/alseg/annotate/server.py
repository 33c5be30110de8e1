"""The small server behind the labelling page."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any

from alseg.annotate.guard import Guard
from alseg.annotate.handler import Handler
from alseg.annotate.pictures import Pictures
from alseg.annotate.table import Table
from alseg.errors import ConfigError

PORT = 8765

_log = logging.getLogger(__name__)


class LabellingServer(ThreadingHTTPServer):
    """Serves one round to browsers until it is closed.

    Attributes:
        table: The answers.
        pictures: The images.
        guard: Who may talk to it.
        next_step: The command that goes on once everything is answered.
        when_done: Called after an answer that leaves no query open.
    """

    daemon_threads = True

    def __init__(
        self,
        table: Table,
        token: str,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        next_step: str = "",
        when_done: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen for browsers.

        Args:
            table: The round.
            token: What the URL has to carry.
            host: The address to listen at.
            port: The port; None takes the usual one, or any other if that is in use.
            next_step: See the attribute.
            when_done: See the attribute.

        Raises:
            ConfigError: It cannot listen there.
        """
        self.table = table
        self.guard = Guard(token, host)
        self.next_step = next_step
        self.when_done = when_done
        self.address_family = AF_INET6 if ":" in host else AF_INET
        try:
            self._listen(host, port)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"Cannot listen at {host}, port {PORT if port is None else port}: "
                f"{str(getattr(error, 'strerror', None) or error).rstrip('.')}. Name another with "
                "--port or --host."
            ) from error
        self.pictures = Pictures(table.asked)

    def _listen(self, host: str, port: int | None) -> None:
        try:
            super().__init__((host, PORT if port is None else port), Handler)
        except OSError as error:
            if port is not None or error.errno != errno.EADDRINUSE:
                raise
            super().__init__((host, 0), Handler)

    def url(self, page: str = "/") -> str:
        """Return where a browser finds a page, with the token."""
        name, port = str(self.server_address[0]), self.server_address[1]
        if name in ("0.0.0.0", "::"):
            name = self.server_name
        if ":" in name:
            name = f"[{name}]"
        return f"http://{name}:{port}{page}?token={self.guard.token}"

    def server_close(self) -> None:
        """Stop listening, and make no more pictures."""
        super().server_close()
        if hasattr(self, "pictures"):
            self.pictures.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong, but not that a browser hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            _log.exception("a request from %s failed", client_address)

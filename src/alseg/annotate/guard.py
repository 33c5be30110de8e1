"""Who may talk to the server: only pages that it sent itself, opened by whoever knows the token."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
from email.message import Message
from pathlib import Path

from alseg.errors import LabelStoreError

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(
    r"(\[(?P<address>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|(?P<name>[A-Za-z0-9._-]+))"
    r"(:(?P<port>[0-9]{1,5}))?"
)

_TOKEN = re.compile(rb"[A-Za-z0-9_-]{32,64}")

HEADERS = {
    # Nothing but this server's own files; and no page of another site around this one.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Sent with every reply."""


def is_local(host: str) -> bool:
    """Whether only this machine reaches a server that listens at an address."""
    return host in LOCAL


class Guard:
    """Checks the token and where a request comes from.

    Attributes:
        token: What the URL has to carry.
    """

    def __init__(self, token: str, host: str) -> None:
        """Let pages in that name the server by an address, as this machine, or as ``host``.

        A page of another site whose own name was made to point here, as in DNS rebinding, sends
        that name.
        """
        self.token = token
        names = {*LOCAL, host.lower()}
        if not is_local(host):
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._names = names - {""}
        self._is_open = not is_local(host)

    def knows_token(self, token: str) -> bool:
        """Whether a token is the right one, in the same time for all wrong ones."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def objection(
        self, headers: Message | dict[str, str], *, opens_page: bool = False
    ) -> str | None:
        """Return why a request is refused for where it comes from; None lets it in.

        Args:
            headers: Those of the request.
            opens_page: Whether a page is asked for, whose address has the token: it may be opened
                from elsewhere, as from a mail or a file, but not be put into another site's page.
        """
        host = headers.get("Host", "")
        if not self._is_ours(host):
            return f"Open the page at the address that the terminal shows, not at {host!r:.60}."
        # The port is that of the request: seen through a tunnel, it is another than ours.
        if headers.get("Origin", f"http://{host}") not in (f"http://{host}", f"https://{host}"):
            return "Another site's page sent this."
        is_opened = opens_page and (
            headers.get("Sec-Fetch-Mode") == "navigate"
            and headers.get("Sec-Fetch-Dest") == "document"
        )
        near = headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        if not near and not is_opened:
            return "Another site's page sent this."
        return None

    def _is_ours(self, host: str) -> bool:
        matched = _HOST.fullmatch(host)
        if matched is None or int(matched["port"] or 0) > 65_535:
            return False
        name = (matched["address"] or matched["name"]).lower()
        if name in self._names:
            return True
        if not self._is_open:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def kept_token(folder: Path) -> str:
    """Return the token of a round; the same after a restart, so that open pages continue.

    Raises:
        LabelStoreError: It cannot be kept in the folder.
    """
    path = folder / ".token"
    try:
        token = _private_token(path)
        if token is None:
            path.unlink(missing_ok=True)
            token = secrets.token_urlsafe(24)
            # Readable by nobody else from the first moment on.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{token} {_place_of(os.fstat(file.fileno()))}")
    except OSError as error:
        raise LabelStoreError(
            f"{path} cannot be used: {error}. Remove it, or allow writing there."
        ) from error
    return token


def _private_token(path: Path) -> str | None:
    """Return the token in a file; None where somebody else may have read or written it.

    The file says which it is on the disk: one that came in a copy of the folder says another, and
    whoever sent the copy knows its token.
    """
    if path.is_symlink() or not path.is_file():
        return None
    status = path.stat()
    if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o077):
        return None
    token, _, place = path.read_bytes()[:100].partition(b" ")
    is_own = _TOKEN.fullmatch(token) and place == _place_of(status).encode()
    return token.decode() if is_own else None


def _place_of(status: os.stat_result) -> str:
    return f"{status.st_dev}-{status.st_ino}"

"""The connections of a server: how many there are, and how long one may keep it waiting."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import RawIOBase
from socket import SHUT_RDWR, socket
from threading import Condition
from time import monotonic
from typing import Any

if sys.platform != "win32":
    import resource

MOST = 256
"""Connections at once; a quarter of the files that the process may open, where that is less."""


@dataclass(frozen=True)
class Limits:
    """How many connections a server has at once, and how many seconds it waits for each.

    Attributes:
        connections: In all; None is what the system allows.
        connections_of_one: Of one address; a browser opens six.
        head: Until all of a request's head is there, of a connection without the token.
        idle: The same of a connection with the token.
        body: Until all of a request's body is there.
        reply: Until a browser has taken a reply.
        picture: Until a picture is read from the disk.
        last_replies: At the end, until all replies are sent.
    """

    connections: int | None = None
    connections_of_one: int = 64
    head: float = 5.0
    idle: float = 60.0
    body: float = 5.0
    reply: float = 60.0
    picture: float = 20.0
    last_replies: float = 2.0


@dataclass(eq=False)
class Connection:
    """A connection.

    Attributes:
        socket: Its socket.
        address: Where it comes from.
        is_known: Whether it has shown the token.
        is_busy: Whether a request is being answered.
        is_closed: Whether it was closed, and ends as soon as its thread sees that.
    """

    socket: socket
    address: str
    is_known: bool = False
    is_busy: bool = False
    is_closed: bool = False

    def close(self) -> None:
        """End it for the thread that reads or writes it, too."""
        self.is_closed = True
        with suppress(OSError):
            self.socket.shutdown(SHUT_RDWR)


class Connections:
    """The open connections: a limited number in all, and of each address.

    Where there is no room for a new one, the one that has been there longest is closed for it,
    first among those that have not shown the token. So whoever has it gets in, however many others
    are waiting.
    """

    def __init__(self, most: int | None, most_of_one: int) -> None:
        """Allow ``most`` in all, None as many as the system allows, and some of each address."""
        self._most = _most_at_once() if most is None else most
        self._most_of_one = most_of_one
        self._all: dict[socket, Connection] = {}
        self._change = Condition()
        self._is_stopping = False

    def __len__(self) -> int:
        """Return how many are open."""
        with self._change:
            return len(self._open())

    def admit(self, connection: socket, address: str) -> bool:
        """Take in a new connection, unless those with the token need all of the room."""
        new = Connection(connection, _network(address))
        with self._change:
            same = [one for one in self._open() if one.address == new.address]
            if len(same) >= self._most_of_one:
                is_room = _close_one(same)
            else:
                is_room = len(self._open()) < self._most or _close_one(self._open())
            if is_room:
                self._all[connection] = new
            return is_room

    def find(self, connection: socket) -> Connection:
        """Return what is known of a connection that was taken in."""
        with self._change:
            return self._all[connection]

    def forget(self, connection: socket) -> None:
        """Note that a connection has ended."""
        with self._change:
            self._all.pop(connection, None)

    def make_room(self) -> None:
        """Close the one that needs it least, as the system has no room for another."""
        with self._change:
            _close_one(self._open())

    @contextmanager
    def answering(self, connection: Connection) -> Iterator[bool]:
        """Keep a connection busy inside the block.

        Yields:
            Whether requests are answered still, and not refused.
        """
        with self._change:
            is_answered = not self._is_stopping
            connection.is_busy = True
        try:
            yield is_answered
        finally:
            with self._change:
                connection.is_busy = False
                self._change.notify_all()

    def refuse(self) -> None:
        """Let no more requests be answered."""
        with self._change:
            self._is_stopping = True

    def wait(self, seconds: float) -> None:
        """Wait until nothing is being answered, at most some seconds."""
        with self._change:
            self._change.wait_for(lambda: not any(one.is_busy for one in self._open()), seconds)

    def close(self) -> None:
        """Close all."""
        with self._change:
            for one in self._open():
                one.close()

    def _open(self) -> list[Connection]:
        return [one for one in self._all.values() if not one.is_closed]


class Reading(RawIOBase):
    """What a socket receives, until a moment at which all of it has to be there."""

    def __init__(self, connection: socket) -> None:
        self._socket = connection
        self._end = 0.0

    def allow(self, seconds: float) -> None:
        """Give what is read next this much time in all, however it is split."""
        self._end = monotonic() + seconds

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes.

        Raises:
            TimeoutError: The time is over.
        """
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError("a request came too slowly")
        self._socket.settimeout(left)
        return self._socket.recv_into(buffer)


def _close_one(connections: list[Connection]) -> bool:
    """Close the connection that needs its place least, in the order of their coming."""
    ranked = sorted(connections, key=lambda one: (one.is_known, one.is_busy))
    if not ranked or (ranked[0].is_known and ranked[0].is_busy):
        return False
    ranked[0].close()
    return True


def _network(address: str) -> str:
    """Return an address, or the part of it whose rest its owner chooses."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))


def _most_at_once() -> int:
    if sys.platform == "win32":
        return MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(8, min(MOST, soft // 4))

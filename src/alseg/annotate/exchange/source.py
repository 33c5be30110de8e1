"""A file that somebody brings: read within limits, and not trusted."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

from alseg.errors import ExchangeError
from alseg.queries.asked import AskedRound

MIB = 1 << 20


def size_limit(asked: AskedRound) -> int:
    """Return how many bytes a file about a round may have, several times what tools write."""
    parts = sum(len(asked.parts(query)) for query in asked.queries[:1]) + 1
    fair = 16 * MIB + len(asked.queries) * parts * 10_000 + len(asked.images) * MIB
    return min(fair, 2048 * MIB)


class Source:
    """A file, or the file in a ZIP archive, as tools let one download it.

    Attributes:
        path: Where it lies.
        limit: How many bytes it may have.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.limit = limit

    @cached_property
    def data(self) -> bytes:
        """The content.

        Raises:
            ExchangeError: It cannot be read, is empty, too long or an archive of other things.
        """
        try:
            with self.path.open("rb") as file:
                data = self._within_limit(file.read(self.limit + 1))
        except OSError as error:
            raise ExchangeError(
                f"{self.path} cannot be read: {error.strerror or error}."
            ) from error
        if data.startswith(b"PK\x03\x04"):
            data = self._unpacked(data)
        if not data.strip():
            raise ExchangeError(f"{self.path} is empty. Export it from the tool again.")
        return data

    @cached_property
    def json(self) -> Any:
        """The value that the file holds as JSON.

        Raises:
            ExchangeError: It is no JSON, or holds numbers that are none.
        """
        try:
            return json.loads(self.data, parse_constant=_refuse)
        except RecursionError as error:
            raise self.wrong("it is nested too deep") from error
        except UnicodeDecodeError as error:
            raise self.wrong(f"byte {error.start} is not UTF-8") from error
        except ValueError as error:
            raise self.wrong(f"it is no JSON, or was cut short: {error}") from error

    def wrong(self, reason: str) -> ExchangeError:
        """Return the error of a file that is not what it should be."""
        return ExchangeError(
            f"{self.path} cannot be used: {reason}. Export it from the tool again."
        )

    def _within_limit(self, data: bytes) -> bytes:
        if len(data) > self.limit:
            raise ExchangeError(
                f"{self.path} has more than {self.limit // MIB} MB, far more than the answers of "
                "this round take. Name the file that the tool exported for this round."
            )
        return data

    def _unpacked(self, data: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = [
                    entry.filename
                    for entry in archive.infolist()
                    if entry.filename.lower().endswith((".xml", ".json"))
                ]
                if len(names) != 1:
                    listed = ", ".join(names[:5]) or "none"
                    raise ExchangeError(
                        f"{self.path} is an archive; one XML or JSON file is expected in it, found "
                        f"{listed}. Unpack it and name the file."
                    )
                with archive.open(names[0]) as file:
                    return self._within_limit(file.read(self.limit + 1))
        except ExchangeError:
            raise
        except Exception as error:
            # What zipfile and zlib raise of a damaged archive is not written down.
            raise self.wrong(f"the archive is damaged ({error})") from error


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")

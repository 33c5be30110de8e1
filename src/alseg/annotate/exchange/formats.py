"""The formats that there are, and which of them a file has."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from alseg.annotate.exchange.source import Source
from alseg.errors import ConfigError, ExchangeError, did_you_mean

FORMATS = {
    "coco": "COCO JSON, one box a query; masks of any shape are read too",
    "cvat": "CVAT for images 1.1 (XML)",
    "label-studio": "Label Studio tasks (JSON) and its labelling configuration",
    "png": "one 8-bit PNG an image, and a CSV of the queries",
}


def module_of(name: str) -> ModuleType:
    """Return the module of a format, with its functions ``write`` and ``read``.

    Raises:
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"--format: no format is called {name!r}.{did_you_mean(name, FORMATS)} Allowed are "
            f"{', '.join(FORMATS)}."
        )
    return import_module(f"alseg.annotate.exchange.{name.replace('-', '_')}")


def format_of(source: Source) -> str:
    """Return which format a file has, from its first character.

    Raises:
        ExchangeError: It does not tell.
    """
    path = Path(source.path)
    if path.is_dir() or path.suffix.lower() == ".csv":
        return "png"
    # Zeros are what UTF-16 has between the characters of every format here.
    start = source.data[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")[:1]
    found = {b"<": "cvat", b"{": "coco", b"[": "label-studio"}.get(start)
    if found is None:
        raise ExchangeError(
            f"{path} begins like none of the formats {', '.join(FORMATS)}. Name the file that the "
            "tool wrote, or its format with --format."
        )
    return found

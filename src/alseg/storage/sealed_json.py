"""JSON files that carry a version and a digest of themselves, so that damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alseg.errors import LabelStoreError
from alseg.storage.regular_files import digest, read_regular


def load_json(path: Path, remedy: str, version: int) -> dict[str, Any]:
    """Return the content of a sealed JSON file.

    Args:
        path: The file.
        remedy: What to do where it is damaged, for the message.
        version: The format that it has to be of.

    Raises:
        LabelStoreError: It is damaged, or of a version that is not read here.
    """
    try:
        data = read_regular(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LabelStoreError(f"{path} cannot be used: {reason}. {remedy}") from error
    try:
        content = decode_json(data)
    except ValueError as error:
        if _may_be_newer(data, version):
            remedy = "Use the version of alseg that wrote it, or restore it from a copy."
            error = ValueError(f"it is of a newer version of alseg, or damaged ({error})")
        raise LabelStoreError(f"{path} cannot be used: {error}. {remedy}") from error
    if content.get("format") != version:
        raise LabelStoreError(
            f"{path} has format {content.get('format')!r}; this version of alseg reads format "
            f"{version}. Use the version of alseg that wrote it."
        )
    return content


def _may_be_newer(data: bytes, version: int) -> bool:
    """Whether a file says so whose digest is not what this version computes."""
    try:
        found = json.loads(data)["format"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return False
    return isinstance(found, int) and found > version


def encode_json(content: dict[str, Any]) -> bytes:
    """Return ``content`` as readable JSON that carries a digest of itself."""
    sealed = {**content, "digest": _seal(content)}
    return (json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def decode_json(data: bytes) -> dict[str, Any]:
    """Return what ``encode_json`` was given.

    Raises:
        ValueError: The data is not such JSON, or was changed since.
    """
    try:
        content = json.loads(data, parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        if content.pop("digest", None) != _seal(content):
            raise ValueError("the content does not match its digest")
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return content


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _seal(content: dict[str, Any]) -> str:
    # Through JSON once, so that tuples and integer keys are sealed as they will be read back.
    return digest(json.dumps(json.loads(json.dumps(content)), sort_keys=True).encode())

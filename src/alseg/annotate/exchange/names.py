"""What the files of images are called where a labelling tool sees them."""

from __future__ import annotations

from pathlib import PurePosixPath

from alseg.queries.asked import AskedImage

SHOWN = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""Endings of the images that a browser shows; others go out as PNG."""


def suffixes(image: AskedImage) -> tuple[str, ...]:
    """Return the endings that the file of an image may have in a tool, that of an export first."""
    own = PurePosixPath(image.file).suffix
    return (own,) if is_shown(image) else (".png", own)


def is_shown(image: AskedImage) -> bool:
    """Whether a browser shows the file of an image as it is."""
    return PurePosixPath(image.file).suffix.lower() in SHOWN


def file_name(image: AskedImage) -> str:
    """Return the name of the file of an image in an export."""
    return f"{image.id}{suffixes(image)[0]}"

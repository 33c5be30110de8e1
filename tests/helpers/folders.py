"""What is in a folder, to say whether two are alike or one was touched."""

import hashlib
from pathlib import Path


def digests(folder):
    """Return the SHA-256 of every file by its relative path, without lock files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }

"""Files of a round by the path that a person is shown: the archive, then the file in it."""

import hashlib
import zipfile
from pathlib import Path

ARCHIVE = "images.zip"


def split(path):
    """Return the archive of a path and the name in it; a path outside of archives has no name."""
    parts = Path(path).parts
    if ARCHIVE not in parts[:-1]:
        return Path(path), None
    cut = parts.index(ARCHIVE) + 1
    return Path(*parts[:cut]), "/".join(parts[cut:])


def files_in(archive):
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def read_bytes(path):
    archive, name = split(path)
    return archive.read_bytes() if name is None else files_in(archive)[name]


def write_bytes(path, data):
    """Replace a file, inside an archive or not; None removes it."""
    archive, name = split(path)
    if name is None:
        archive.unlink() if data is None else archive.write_bytes(data)
        return
    files = files_in(archive)
    files.pop(name, None)
    if data is not None:
        files[name] = data
    with zipfile.ZipFile(archive, "w") as opened:
        for member, content in files.items():
            opened.writestr(member, content)


def query_lines(store, number, image_id):
    """Return the lines of what was asked for in an image in a round, without the header."""
    files = files_in(store.folder / f"round-{number:03d}" / ARCHIVE)
    return files.get(f"queries/{image_id}.csv", b"").decode().splitlines()[1:]


def digests(folder):
    """Return the SHA-256 of every file by its relative path, without lock files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }

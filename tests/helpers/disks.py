"""Disks that are full or cannot be written, for tests of what a run does then."""

import builtins
import errno
import io
import os
from fnmatch import fnmatch
from pathlib import Path


class FaultyDisk:
    """Stands in for the disk under a folder, on which writing fails for some files.

    File permissions would not do: they do not bind the superuser, as whom tests often run. Reading
    works as ever. Of a full disk, a file that is written keeps the half that still fitted.

    Attributes:
        failures: Paths below the folder at which writing failed, in order.
    """

    def __init__(self, monkeypatch, folder, number, pattern="*"):
        """Let writes to paths below ``folder`` that match ``pattern`` fail with an errno."""
        self.failures = []
        self._folder, self._number, self._pattern = Path(folder).resolve(), number, pattern
        real = io.open

        def open_file(file, mode="r", *arguments, **options):
            if not set(mode) & set("wax+") or not self._concerns(file):
                return real(file, mode, *arguments, **options)
            if number != errno.ENOSPC:
                raise self._error(file)
            opened = real(file, mode, *arguments, **options)
            write = opened.write

            def write_half(data):
                write(data[: len(data) // 2])
                opened.flush()
                raise self._error(file)

            opened.write = write_half
            return opened

        monkeypatch.setattr(io, "open", open_file)
        monkeypatch.setattr(builtins, "open", open_file)
        if number != errno.ENOSPC:
            for name in ("mkdir", "rename", "replace", "rmdir", "unlink", "remove"):
                monkeypatch.setattr(os, name, self._refusing(getattr(os, name)))

    def _refusing(self, function):
        def run(path, *arguments, **options):
            if self._concerns(path):
                raise self._error(path)
            return function(path, *arguments, **options)

        return run

    def _concerns(self, path):
        if not isinstance(path, (str, os.PathLike)):
            return False
        absolute = Path(path).resolve()
        return absolute.is_relative_to(self._folder) and fnmatch(str(absolute), self._pattern)

    def _error(self, path):
        self.failures.append(Path(path).resolve().relative_to(self._folder).as_posix())
        # As the system does it: a write that fails has no file's name, all else has.
        named = () if self._number == errno.ENOSPC else (str(path),)
        return OSError(self._number, os.strerror(self._number), *named)

"""The labelling page's command in a process that a test can kill."""

import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from tests.helpers.served import Client


class Command:
    """``alseg annotate`` in a process of its own.

    Below the program ``before`` if there is one, or as a ``program`` that starts it.
    """

    def __init__(self, *arguments, port=0, before=(), program=None, browser=False):
        own = ("-c", program) if program else ("-m", "alseg.cli.main", "annotate")
        options = () if browser else ("--no-browser",)
        more = map(str, (*arguments, *options, "--port", port))
        self.process = subprocess.Popen(
            [*before, sys.executable, *own, *more], stdout=subprocess.PIPE, text=True
        )
        self.lines = []

    def until(self, word):
        """Read what it prints up to a line with a word in it; return that line."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if word in line:
                return self.lines[-1]
        raise AssertionError(f"it ended without {word!r}: {self.lines}")

    def url(self):
        """Return the address that it prints."""
        url = self.until("http://").split(" at ")[1]
        assert url.startswith("http://127.0.0.1:")
        return url

    def client(self):
        """Return a client of the address that it prints."""
        return self.client_of(self.url())

    @staticmethod
    def client_of(url):
        """Return a client of an address."""
        return Client(urlsplit(url).port, url.partition("token=")[2])

    def stop(self, how=signal.SIGINT):
        """Stop it, and return its exit status."""
        self.process.send_signal(how)
        self.process.wait(20)
        self.lines += self.process.stdout.read().splitlines()
        self.process.stdout.close()
        return self.process.returncode


@pytest.fixture
def start():
    """Start the command; what was started ends with the test."""
    begun = []

    def start(*arguments, **more):
        begun.append(Command(*arguments, **more))
        return begun[-1]

    yield start
    for command in begun:
        command.process.kill()
        command.process.wait(20)
        command.process.stdout.close()

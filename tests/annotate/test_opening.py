"""A browser is opened without the token in its command line, which all users can read."""

import os
import re
import stat
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.helpers.annotate_command import Command
from tests.helpers.asked import make_round

from alseg.annotate.opening import redirection
from alseg.errors import LabelStoreError

BROWSER = """#!/bin/sh
printf '%s\\n' "$@" > "$0.arguments"
echo > "$0.opened"
cat "$0.closed"
"""
"""A browser in the foreground: it notes its arguments, and ends once it is closed."""


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def command_lines():
    """The command lines of all processes that this machine shows."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


@pytest.mark.parametrize("more", [[], ["--review"]])
def test_the_token_is_in_no_command_line(tmp_path, monkeypatch, start, more):
    asked = make_round(tmp_path / "a run <&> of one")
    browser = tmp_path / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    opened, closed = tmp_path / "browser.opened", tmp_path / "browser.closed"
    for pipe in (opened, closed):
        os.mkfifo(pipe)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("DISPLAY", ":0")
    command = start(asked.folder.parent.parent, *more, browser=True)
    url = command.url()
    assert opened.read_text() == "\n"
    token = url.split("token=")[1]
    (argument,) = (tmp_path / "browser.arguments").read_text().splitlines()
    assert token.encode() not in b"".join(command_lines())
    page = Path(unquote(urlsplit(argument).path))
    assert (mode(page), mode(page.parent)) == (0o600, 0o700)
    assert page.is_relative_to(asked.folder)
    target = re.search('http-equiv="refresh" content="0; url=([^"]*)"', page.read_text())[1]
    assert unescape(target) == url
    # The browser is still in the foreground, and the page is served.
    client = Command.client_of(url)
    assert client.get("/api/round")[0] == 200
    closed.write_text("")
    assert command.stop() == 0
    assert not page.parent.exists()


def test_what_a_killed_server_left_is_removed(tmp_path):
    with redirection(tmp_path, "http://127.0.0.1/?token=a") as page:
        text = page.read_bytes()
    left = tmp_path / ".browser-left"
    left.mkdir(mode=0o700)
    (left / "open.html").write_bytes(text)
    with redirection(tmp_path, "http://127.0.0.1/?token=b") as page:
        assert list(tmp_path.iterdir()) == [page.parent]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_hold_a_private_file_is_refused(tmp_path, monkeypatch):
    with (
        pytest.raises(LabelStoreError, match="Open the address yourself"),
        redirection(tmp_path / "gone", "http://127.0.0.1"),
    ):
        pass
    # As on a file system without modes.
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix, dir: open_to_all(Path(dir) / prefix))
    with (
        pytest.raises(LabelStoreError, match="all users may read"),
        redirection(tmp_path, "http://127.0.0.1"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def open_to_all(path):
    path.mkdir()
    path.chmod(0o755)
    return str(path)


def test_an_error_inside_is_not_taken_for_one_of_the_file(tmp_path):
    with (
        pytest.raises(ConnectionError, match="of the server"),
        redirection(tmp_path, "http://127.0.0.1"),
    ):
        raise ConnectionError("of the server")
    assert list(tmp_path.iterdir()) == []

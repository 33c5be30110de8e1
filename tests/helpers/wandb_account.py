"""An account of Weights & Biases on a server of the test's own, or none at all."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
import wandb
from tests.helpers.wandb_server import KEY, serving


@contextmanager
def logged_out(home):
    """Log nobody in: no key in the environment, in .netrc or in wandb's settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("NETRC", str(home / "netrc"))
        for part in ("CONFIG", "CACHE", "DATA"):
            patch.setenv(f"WANDB_{part}_DIR", str(home / part.lower()))
        patch.setenv("WANDB_SILENT", "true")
        # wandb reads the environment once in a process.
        wandb.teardown()
        yield
        wandb.teardown()


@pytest.fixture
def nobody(tmp_path):
    """Log nobody in."""
    home = tmp_path / "home"
    home.mkdir()
    with logged_out(home):
        yield


@pytest.fixture
def backend(nobody):
    """Yield a server that nobody is logged in to yet."""
    with serving() as backend:
        yield backend
        wandb.teardown()
    assert backend.failed == []


@pytest.fixture
def account(backend, monkeypatch):
    """Log in to the server."""
    monkeypatch.setenv("WANDB_BASE_URL", backend.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    return backend


def sync(backend, *runs):
    """Send offline runs with `wandb sync`."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", *map(str, runs)],
        cwd=runs[0],  # where wandb keeps a log of what it did
        env={**os.environ, "WANDB_BASE_URL": backend.url, "WANDB_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""The browser of the tests, what Ctrl-C does, and the seed of where processes are killed."""

import importlib
import os
import secrets
import shutil
import signal

import pytest

from tests.helpers.checkpoints import constant_checkpoint
from tests.helpers.wandb_account import account, backend, nobody

__all__ = ["account", "backend", "constant_checkpoint", "nobody"]

SEED = "ALSEG_CRASH_SEED"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

NEEDED = "ALSEG_BROWSER_NEEDED"
"""Set where these tests are what is wanted, so that none of them is left out unnoticed."""


def pytest_addoption(parser):
    parser.addoption("--crash-seed", type=int, help="draw the points of tests/test_crash.py anew")


def pytest_configure(config):
    # Ctrl-C is ignored, and inherited so, below a background job of a script (`nox -s tests &`).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = config.getoption("--crash-seed")
    if seed is not None or SEED not in os.environ:
        os.environ[SEED] = str(secrets.randbelow(10**6) if seed is None else seed)


def pytest_report_header():
    return f"points at which processes are killed: --crash-seed {os.environ[SEED]}"


def leave_out(reason):
    """Skip, or fail where the tests are wanted."""
    if os.environ.get(NEEDED):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """A browser for all tests; skips where there is none."""
    try:
        api = importlib.import_module("playwright.sync_api")
    except ImportError:
        leave_out("needs playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        leave_out(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with api.sync_playwright() as playwright:
        # In a container as root, Chromium's own sandbox does not start and /dev/shm is small.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()

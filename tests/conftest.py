"""The seed of the points at which processes are killed, one for all workers of a run."""

import os
import secrets

SEED = "ALSEG_CRASH_SEED"


def pytest_addoption(parser):
    parser.addoption("--crash-seed", type=int, help="draw the points of tests/test_crash.py anew")


def pytest_configure(config):
    seed = config.getoption("--crash-seed")
    if seed is not None or SEED not in os.environ:
        os.environ[SEED] = str(secrets.randbelow(10**6) if seed is None else seed)


def pytest_report_header():
    return f"points at which processes are killed: --crash-seed {os.environ[SEED]}"

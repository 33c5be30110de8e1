"""Fixtures for every test of both distributions."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with conformance vectors, photographs and encoder weights that CI mounts."""
    folder = Path(os.environ.get("ALSEG_SHARED", Path(__file__).parent.parent / "shared"))
    if not (folder / "conformance").is_dir():
        pytest.skip(f"needs the reference data: no folder {folder}; set ALSEG_SHARED to it")
    return folder

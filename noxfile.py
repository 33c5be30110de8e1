"""The project's checks and runs, each in an environment of its own.

With uv the environments are made of hard links to one cache, so that PyTorch is downloaded and
stored once; without uv, nox falls back on virtualenv and pip.
"""

import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "exchange", "lint", "types", "docs"]

PACKAGES = ("./strategies", ".")
PROJECT = nox.project.load_toml("pyproject.toml")
FAST = "not slow and not gpu and not browser"
# albumentations asks the network for updates when it is imported, unless told not to.
QUIET = {"NO_ALBUMENTATIONS_UPDATE": "1"}


def group(name: str) -> list[str]:
    """Return what a dependency group asks for, for pip as well as for uv."""
    return nox.project.dependency_groups(PROJECT, name)


def lowest_python() -> str | None:
    """Return the oldest supported Python that starts here; a command that is a stub does not."""
    for minor in range(10, 14):
        command = f"python3.{minor}"
        if shutil.which(command) is None:
            continue
        if subprocess.run([command, "--version"], capture_output=True).returncode == 0:
            return command
    return None


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests; arguments after -- go to pytest."""
    session.install("./strategies", ".[dashboard]", *group("test"))
    two = {**QUIET, "OMP_NUM_THREADS": "1"}
    session.run("python", "-m", "pytest", "-n", "2", "-m", FAST, *session.posargs, env=two)


@nox.session
def exchange(session: nox.Session) -> None:
    """Test the files for labelling tools with the tools' own libraries."""
    session.install(*PACKAGES, *group("exchange"))
    tests = "tests/annotate/test_exchange_tools.py"
    session.run("python", "-m", "pytest", tests, *session.posargs, env=QUIET)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that take minutes."""
    session.install(*PACKAGES, *group("test"))
    session.run("python", "-m", "pytest", "-m", "slow and not gpu", *session.posargs, env=QUIET)


@nox.session
def browser(session: nox.Session) -> None:
    """Drive the labelling page and the report in headless Chromium, which has to be installed."""
    session.install(*PACKAGES, *group("test"), *group("browser"))
    # Where there is no browser, the tests fail here instead of being skipped.
    needed = {**QUIET, "ALSEG_BROWSER_NEEDED": "1"}
    session.run("python", "-m", "pytest", "-m", "browser", *session.posargs, env=needed)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill runs at points drawn at random; `-- --crash-seed N` draws those of an earlier run."""
    session.install(*PACKAGES, *group("test"))
    session.run("python", "-m", "pytest", "-v", "tests/test_crash.py", *session.posargs, env=QUIET)


@nox.session(python=lowest_python(), venv_backend="uv")
def minimum(session: nox.Session) -> None:
    """Run the fast tests with the lowest versions that the bounds admit."""
    session.install("--resolution", "lowest-direct", *PACKAGES)
    session.install(*group("test"))
    session.run("uv", "pip", "list")
    session.run("python", "-m", "pytest", "-m", FAST, *session.posargs, env=QUIET)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style; `nox -s lint -- --fix` mends what can be mended."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of both distributions."""
    session.install(*PACKAGES, *group("types"))
    session.run("mypy", "src", "strategies/src", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/; `nox -s docs -- serve` shows it while it is written."""
    session.install(*group("docs"))
    session.run(
        "mkdocs", *(session.posargs or ["build", "--strict"]), env={"NO_MKDOCS_2_WARNING": "1"}
    )


@nox.session
def demo(session: nox.Session) -> None:
    """Run the main job on the embedded scenes; arguments after -- go to `alseg fit`."""
    session.install(*PACKAGES)
    session.run("alseg", "fit", "--strategy", "halo", "--budget", "0.01", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run a benchmark by name (`nox -s bench -- scenes`), or all of them."""
    session.install(*PACKAGES)
    files = sorted(Path("benchmarks").glob("[a-z]*.py"))
    found = [path.stem for path in files if "__main__" in path.read_text(encoding="utf-8")]
    for name in session.posargs or found:
        session.run("python", "-m", f"benchmarks.{name}", env=QUIET)

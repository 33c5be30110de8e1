"""The direction of the imports: the rooms of the house, and what each leaves alone.

Every import statement counts, also one inside a function or under ``TYPE_CHECKING``.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALSEG = sorted((ROOT / "src").rglob("*.py"))
STRATEGIES = sorted((ROOT / "strategies/src").rglob("*.py"))
LEVELS = (
    {"cli"},
    {"sweep", "compare", "dashboard"},
    {"annotate"},
    {"runs"},
    {"active"},
    {"queries"},
    {"labels"},
    {"training"},
    {"models", "data"},
    {"config"},
    {"distributed"},
    {"storage"},
    {"errors"},
)
"""The rooms of the house, from the top down; a room imports from the levels below its own."""

NEVER = {
    "config": {"torch", "lightning"},
    "storage": {"torch", "lightning"},
    "labels": {"lightning"},
    "queries": {"lightning"},
    "annotate": {"torch", "lightning", "alseg.active"},
    "compare": {"alseg.active"},
    "sweep": {"alseg.active"},
    "dashboard": {"alseg.active"},
}
"""What a room does not import, though it lies below it or is installed."""


def imports(source: str, module: str, is_package: bool) -> set[str]:
    """Return the dotted names that a module's text imports, relative ones made absolute."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            climb = node.level - is_package
            above = parts[: len(parts) - climb] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def imports_of(path: Path, src: Path) -> set[str]:
    parts = path.relative_to(src).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    return imports(path.read_text(encoding="utf-8"), module, is_package)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("source", "module", "is_package", "expected"),
    [
        ("import torch.nn as nn", "a.b", False, {"torch.nn"}),
        ("from alseg import errors", "alseg.data.base", False, {"alseg.errors"}),
        ("from .. import errors", "alseg.data.base", False, {"alseg.errors"}),
        ("from ..active import loop", "alseg.data", True, {"alseg.active.loop"}),
        ("from .store import Store", "alseg.labels", True, {"alseg.labels.store.Store"}),
        ("def f():\n    from .main import main", "alseg.cli.fit", False, {"alseg.cli.main.main"}),
    ],
)
def test_imports_are_found_wherever_they_are_written(source, module, is_package, expected):
    assert imports(source, module, is_package) == expected


@pytest.mark.parametrize("path", STRATEGIES, ids=name_of)
def test_strategies_need_torch_and_the_standard_library_alone(path):
    allowed = {"alseg_strategies", "torch", *sys.stdlib_module_names}
    if path.name == "testing.py":
        allowed.add("pytest")
    found = imports_of(path, ROOT / "strategies/src")
    assert {name for name in found if name.split(".")[0] not in allowed} == set()


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "src/alseg").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [p for p in ALSEG if room_of(p) != "__init__"], ids=name_of)
def test_a_room_imports_from_the_levels_below_its_own(path):
    own = room_of(path)
    level = next(place for place, rooms in enumerate(LEVELS) if own in rooms)
    below = {own}.union(*LEVELS[level + 1 :])
    found = imports_of(path, ROOT / "src")
    within_alseg = {name for name in found if within(name, "alseg")}
    assert {name for name in within_alseg if f"{name}.".split(".")[1] not in below} == set()
    assert {name for name in found if within(name, *NEVER.get(own, ()))} == set()


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in ALSEG} - {"__init__"} == set().union(*LEVELS)


@pytest.mark.parametrize("path", ALSEG, ids=name_of)
def test_no_module_is_reached_through_any(path):
    found = {
        node.target.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and ast.unparse(node.annotation) == "Any"
        and node.value is not None
        and "module" in ast.unparse(node.value)
    }
    assert found == set()


def test_the_config_and_the_packages_themselves_leave_torch_alone():
    program = (
        "import sys, alseg, alseg.config.run, alseg_strategies\n"
        "print(*sorted({'torch', 'lightning', 'albumentations'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")


def test_public_names_come_from_their_modules():
    import alseg
    from alseg.active.loop import ActiveLoop
    from alseg.data.module import SegmentationDataModule
    from alseg.training.module import SegmentationModule

    assert alseg.ActiveLoop is ActiveLoop
    assert alseg.SegmentationModule is SegmentationModule
    assert alseg.SegmentationDataModule is SegmentationDataModule
    assert set(alseg.__all__) <= set(dir(alseg))
    with pytest.raises(AttributeError, match="no attribute 'SegmentatonModule'"):
        _ = alseg.SegmentatonModule

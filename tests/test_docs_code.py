"""The code in the documentation runs as it stands there."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alseg_strategies.registry

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "docs/strategies.md", "docs/own-data.md"]
MARKED = re.compile(r"<!-- test: (\S+) -->\n```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def marked(page: str) -> dict[str, str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return {name: code for name, _, code in MARKED.findall(text)}


SCRIPTS = [
    *(("README.md", name) for name in ("trainer", "stranger", "strategies")),
    *(("docs/strategies.md", name) for name in ("score", "register", "select", "budget", "fit")),
]


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # What a page registers is forgotten with it.
    monkeypatch.setattr(alseg_strategies.registry, "_registered", {})
    monkeypatch.delitem(sys.modules, "my_strategies", raising=False)
    Path("my_strategies.py").write_text(marked("docs/strategies.md")["strategy"], encoding="utf-8")


def run(code: str) -> None:
    Path("example.py").write_text(code, encoding="utf-8")
    runpy.run_path("example.py", run_name="example")


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_of_a_page_is_marked(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("```python") == len(re.findall(r"<!-- test: \S+ -->\n```python", text))


def test_the_tests_that_hold_what_the_page_on_security_promises_are_there() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8"))
    files = (ROOT / "tests").rglob("test_*.py")
    there = {
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert len(named) > 20
    assert set(named) <= there


@pytest.mark.parametrize(("page", "name"), SCRIPTS)
def test_code_runs(page: str, name: str) -> None:
    run(marked(page)[name])


def test_the_budget_of_the_page_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    run(marked("docs/strategies.md")["budget"])
    found = re.match(r"(\d+) of (\d+) pixels", capsys.readouterr().out)
    assert found
    assert abs(int(found[1]) - 0.02 * int(found[2])) <= 9


def test_the_strategy_of_the_page_passes_the_contract_as_a_plug_in(tmp_path: Path) -> None:
    page = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
    announced = re.search(r'\[project\.entry-points\."(\S+)"\]\n(.+) = "(.+)"', page)
    assert announced
    about = tmp_path / "my_strategies-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-strategies\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[{}]\n{} = {}\n".format(*announced.groups()))
    Path("test_rare_entropy.py").write_text(marked("docs/strategies.md")["contract"])
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_rare_entropy.py"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def my_city() -> None:
    """Write the files that the page on own data describes, without labels for train."""
    Path("my_city.yaml").write_text(marked("docs/own-data.md")["description"], encoding="utf-8")
    pixels = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("drive1/0001", "drive1/0002"):
            image = Path("my_city/images", split, f"{name}.jpg")
            label = Path("my_city/labels", split, f"{name}.png")
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(image)
            if split != "train":
                label.parent.mkdir(parents=True, exist_ok=True)
                values = np.array([0, 1, 7, 8, 11, 21, 26], dtype=np.uint8)
                Image.fromarray(pixels.choice(values, (64, 96))).save(label)


@pytest.mark.usefixtures("my_city")
def test_the_description_on_the_page_opens_and_maps_every_value() -> None:
    from alseg.data import open_dataset

    dataset = open_dataset("folder:my_city.yaml", "test")
    assert dataset.ids == ["drive1/0001", "drive1/0002"]
    values = np.asarray(Image.open("my_city/labels/test/drive1/0001.png"))
    expected = {0: 255, 1: 255, 7: 0, 8: 1, 11: 2, 21: 3, 26: 4}
    assert (dataset.label(0) == np.vectorize(expected.get)(values)).all()


@pytest.mark.usefixtures("my_city")
def test_the_annotator_on_the_page_labels_a_target_without_labels() -> None:
    run(marked("docs/own-data.md")["annotator"])

import subprocess
import sys

import pytest
from tests.helpers.evidence import write_evidence
from tests.helpers.runs import write_matrix, write_run

from alseg.cli.main import main


def test_the_table_is_printed_and_written_beside_the_report(tmp_path, capsys):
    report = tmp_path / "new" / "report.html"
    assert main(["compare", str(write_matrix(tmp_path / "runs")), "-o", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "42.0 ± 2.0" in printed
    assert str(report.with_suffix(".csv")) in printed
    assert report.with_suffix(".csv").read_text().startswith("variant,budget,seeds,miou")
    assert report.with_suffix(".md").read_text().startswith("# 18 runs compared")
    runs = report.with_name("report-runs.csv")
    assert str(runs) in printed
    assert runs.read_text().startswith("variant,budget,seed,miou")


def test_runs_that_are_left_out_make_the_status_1(tmp_path, capsys):
    write_run(tmp_path / "a")
    (write_run(tmp_path / "b", seed=1) / "summary.json").unlink()
    assert main(["compare", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 1
    assert "Left out" in capsys.readouterr().out


def test_rounds_that_cannot_be_read_are_told_in_the_terminal_too(tmp_path, capsys):
    run = write_run(tmp_path / "a", round_steps=[0])
    write_evidence(run, 1)
    (run / "analysis/round-001.json").write_text("[")
    assert main(["compare", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 0
    assert "round-001.json` cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no folder nowhere"),
        (["."], "holds no run"),
        ([".", "-o", "report.csv"], "has to end in .html"),
        ([".", "--click-seconds", "0"], "must be above 0"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_named(tmp_path, capsys):
    write_run(tmp_path / "runs" / "a")
    (tmp_path / "file").write_text("")
    assert main(["compare", str(tmp_path / "runs"), "-o", str(tmp_path / "file" / "r.html")]) == 2
    assert "Cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["# Strategies compared\n", "\n# Notes\n", "<title>My runs compared</title>"]
)
@pytest.mark.parametrize("name", ["results.html", "results.md", "results.csv", "results-runs.csv"])
def test_what_a_comparison_did_not_write_is_not_replaced(tmp_path, capsys, name, text):
    write_run(tmp_path / "runs" / "a")
    (tmp_path / name).write_text(text)
    arguments = ["compare", str(tmp_path / "runs"), "-o", str(tmp_path / "results.html")]
    assert main(arguments) == 2
    assert f"{name} is there and was not written by a comparison" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]
    (tmp_path / name).unlink()
    # What a comparison wrote is.
    assert main(arguments) == main(arguments) == 0


def test_nothing_that_trains_is_imported(tmp_path):
    write_run(tmp_path / "a")
    program = (
        "import sys; from alseg.cli.main import main; "
        f"main(['compare', {str(tmp_path)!r}, '-o', {str(tmp_path / 'r.html')!r}]); "
        "print('imported:', *sorted({'torch', 'lightning', 'albumentations'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].strip() == "imported:"

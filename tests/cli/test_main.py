import os
import subprocess
import sys

import pytest

from alseg.cli.main import COMMANDS, main
from alseg.errors import AlsegError
from alseg_strategies import available, options


def alseg_process(*arguments, **environment):
    """Run the command line as a process of its own, which also tells what it imported."""
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "alseg.cli.main", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


def told_and_imported(stderr):
    """Split the lines of a process on stderr into those for a person and the imported modules."""
    lines = stderr.splitlines()
    imported = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
    return [line for line in lines if not line.startswith("import time:")], imported


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)


def test_no_command_is_refused_with_the_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: alseg COMMAND")


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("alseg ")


def test_a_misspelt_command_is_refused_with_a_suggestion(capsys):
    assert main(["chek-data"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "alseg: unknown command 'chek-data'. Did you mean 'check-data'?",
        "Commands: fit, query, annotate, export, import, labels, sweep, compare, dashboard, "
        "evaluate, predict, strategies, check-data",
    ]


def test_nothing_is_suggested_for_a_command_like_no_other(capsys):
    assert main(["qqq"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: alseg {command}")


def raise_in_strategies(monkeypatch, error):
    def fail(argv):
        raise error

    monkeypatch.setattr("alseg.cli.strategies.run", fail)


def test_an_error_for_the_user_comes_without_traceback(monkeypatch, capsys):
    raise_in_strategies(monkeypatch, AlsegError("the disk is full"))
    assert main(["strategies"]) == 2
    assert capsys.readouterr().err == "alseg strategies: the disk is full\n"


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_where_an_error_comes_from(how, monkeypatch, capsys):
    raise_in_strategies(monkeypatch, AlsegError("the disk is full"))
    if how == "environment":
        monkeypatch.setenv("ALSEG_DEBUG", "1")
    assert main(["--debug", "strategies"] if how == "option" else ["strategies"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "the disk is full" in err


def test_a_defect_shows_its_traceback(monkeypatch, capsys):
    raise_in_strategies(monkeypatch, ZeroDivisionError("division by zero"))
    assert main(["strategies"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interruption_is_told_in_one_line(monkeypatch, capsys):
    raise_in_strategies(monkeypatch, KeyboardInterrupt())
    assert main(["strategies"]) == 130
    assert capsys.readouterr().err == "alseg strategies: interrupted\n"


@pytest.mark.parametrize("arguments", [["--help"], ["strategies"]])
def test_what_must_answer_at_once_leaves_the_training_stack_alone(arguments):
    run = alseg_process(*arguments)
    _, imported = told_and_imported(run.stderr)
    assert run.returncode == 0
    assert "alseg" in imported
    assert {"torch", "numpy", "lightning", "jsonargparse"} & imported == set()


def test_a_misspelt_strategy_is_answered_in_two_lines_without_the_training_stack():
    run = alseg_process("fit", "--strategy", "hallo")
    told, imported = told_and_imported(run.stderr)
    assert run.returncode == 2
    assert told[0] == "alseg fit: there is no strategy 'hallo'. Did you mean 'halo'?"
    assert told[1].startswith("Available: ")
    assert "ripu" in told[1]
    assert len(told) == 2
    assert {"torch", "numpy", "lightning"} & imported == set()


def test_a_misspelt_option_of_a_sweep_is_answered_without_the_training_stack():
    run = alseg_process("sweep", "matrix.yaml", "--jbos", "2")
    told, imported = told_and_imported(run.stderr)
    assert told == ["alseg sweep: unknown option --jbos. Did you mean --jobs?"]
    assert {"torch", "lightning"} & imported == set()


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["strategies"]])
def test_a_reader_who_has_seen_enough_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-m", "alseg.cli.main", *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (0, b"")


def test_every_strategy_is_listed_with_its_description(capsys):
    assert main(["strategies"]) == 0
    out = capsys.readouterr().out
    assert {"random", "entropy", "margin", "ripu", "halo"} <= set(available())
    for name, description in available().items():
        assert any(
            line.split()[0] == name and line.endswith(description)
            for line in out.splitlines()
            if line
        )


@pytest.mark.parametrize("name", available())
def test_a_strategy_is_shown_with_its_options(name, capsys):
    assert main(["strategies", name]) == 0
    out = capsys.readouterr().out
    assert available()[name] in out
    assert all(f"--strategy-options.{option} " in out for option in options(name))


def test_the_defaults_of_halo_are_shown_as_they_are_typed(capsys):
    assert main(["strategies", "halo"]) == 0
    out = capsys.readouterr().out
    assert "--strategy-options.term variance\n" in out
    assert "--strategy-options.uncertainty true\n" in out


def test_an_unknown_strategy_is_refused_with_a_suggestion(capsys):
    assert main(["strategies", "entropi"]) == 2
    assert "Did you mean 'entropy'?" in capsys.readouterr().err

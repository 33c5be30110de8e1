import pytest

from alseg.cli.main import main
from alseg_strategies import available, options


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

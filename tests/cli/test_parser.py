import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alseg.cli.main import main
from alseg.cli.parser import load_config
from alseg.config.run import RunConfig, config_from, dump_config, dump_settings
from alseg.config.yaml_file import read_value
from alseg.errors import ConfigError
from alseg_strategies import UnknownStrategy


@pytest.fixture
def written(tmp_path):
    """Write a YAML file and return its path."""

    def write(text, name="run.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(capsys, *arguments):
    """Return what `alseg fit` says when it refuses its arguments."""
    assert main(["fit", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) <= 2
    return captured.err


def test_nothing_given_is_the_default_run():
    assert load_config() == RunConfig()


def test_options_are_read_by_their_types():
    config = load_config(
        overrides=[
            *("--learning-rate", "1e-3", "--steps=7", "--flip", "false", "--size", "180x240"),
            *("--round-steps", "[0, 3]", "--budget", "40 regions", "--devices", "2"),
            *("--encoder-weights", "none", "--label-space", "null"),
        ]
    )
    assert config == RunConfig(
        learning_rate=0.001,
        steps=7,
        flip=False,
        size=(180, 240),
        round_steps=[0, 3],
        budget="40 regions",
        devices=2,
        encoder_weights="none",
        label_space=None,
    )


def test_yaml_is_read_by_the_same_types(written):
    path = written(
        "learning_rate: 1e-3\nsteps: 7\nflip: false\nsize: 180x240\nround_steps: [0, 3]\n"
        "budget: 0.022\ndevices: auto\nencoder-weights: none\nlabel_space: null\n"
    )
    assert load_config([path]) == RunConfig(
        learning_rate=0.001,
        steps=7,
        flip=False,
        size=(180, 240),
        round_steps=[0, 3],
        budget=0.022,
        devices="auto",
        encoder_weights="none",
        label_space=None,
    )


def test_later_files_win_over_earlier_ones_and_options_over_files(written):
    first = written("steps: 1000\nradius: 1\nseed: 1\n", "first.yaml")
    second = written("radius: 2\nseed: 2\n", "second.yaml")
    config = load_config([first, second], ["--seed", "3"])
    assert (config.steps, config.radius, config.seed) == (1000, 2, 3)


def test_an_option_wins_over_a_file_that_is_named_after_it(written, capsys):
    path = written("seed: 1\n")
    assert main(["fit", "--seed", "3", "-c", str(path), "--print-config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["seed"] == 3


def test_a_key_of_a_mapping_is_changed_alone(written):
    path = written("strategy_options: {term: impurity, uncertainty: false}\n")
    config = load_config(
        [path], ["--strategy-options.term", "radius", "--strategy-options.bins=50"]
    )
    assert config.strategy_options == {"term": "radius", "uncertainty": False, "bins": 50}


def test_a_whole_mapping_takes_the_place_of_that_of_a_file(written):
    path = written("strategy_options: {term: impurity}\n")
    assert load_config([path], ["--strategy-options", "{}"]).strategy_options == {}
    assert load_config([path], ["--strategy-options", "{bins: 5}"]).strategy_options == {"bins": 5}


def test_the_environment_is_not_read(monkeypatch):
    monkeypatch.setenv("ALSEG_FIT__SEED", "7")
    monkeypatch.setenv("ALSEG_SEED", "7")
    assert load_config().seed == 0


def test_the_printed_settings_are_those_of_the_run_with_a_comment_each(written, capsys):
    arguments = ["--size", "90x120", "--strategy-options.term", "radius", "--target-options.a", "1"]
    assert main(["fit", "--source", "scenes:sim", *arguments, "--print-config"]) == 0
    text = capsys.readouterr().out
    assert load_config([written(text)]) == RunConfig(
        size=(90, 120), strategy_options={"term": "radius"}, target_options={"a": 1}
    )
    printed = yaml.safe_load(text)
    assert list(printed) == list(dump_settings(RunConfig()))
    assert text.count("\n# ") >= len(printed)


@settings(max_examples=50)
@given(
    size=st.none() | st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    learning_rate=st.floats(1e-12, 1e3),
    budget=st.floats(1e-6, 1) | st.sampled_from(["1%", "40 regions", "0.01"]),
    options=st.dictionaries(
        st.text(min_size=1),
        st.integers() | st.booleans() | st.text() | st.floats(-9, 9) | st.just("1e-3"),
    ),
    name=st.none() | st.text(min_size=1).filter(lambda name: not set(name) & set("/\\")),
)
def test_what_is_dumped_describes_the_same_run(size, learning_rate, budget, options, name):
    config = RunConfig(
        size=size,
        learning_rate=learning_rate,
        budget=budget,
        strategy_options=options,
        name=name,
    )
    assert config_from(read_value(dump_config(config))) == config
    assert config_from(dump_settings(config)) == config


def test_help_names_every_setting_with_its_default(capsys):
    assert main(["fit", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for name in dump_settings(RunConfig()):
        assert f"--{name.replace('_', '-')} " in out
    assert "(default: scenes:sim)" in out
    assert "none|light|strong" in out


def test_help_begins_with_what_a_run_is_about_and_the_rest_follows_by_group(capsys):
    assert main(["fit", "--help"]) == 0
    out = capsys.readouterr().out
    options = re.findall(r"^  (?:-\w.*, )?--([\w-]+)", out, re.MULTILINE)
    about = ["strategy", "budget", "annotator", "rounds", "source", "target", "out", "resume"]
    assert options[:8] == about
    assert sorted(options) == sorted(set(options))
    by_group = [name.replace("_", "-") for name in dump_settings(RunConfig())]
    own = ["help", "config", "print-config", "partial"]
    assert options[8:] == [*own, *(name for name in by_group if name not in about)]


def test_help_says_default_where_a_file_says_null(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "2000")
    assert main(["fit", "--help"]) == 0
    out = capsys.readouterr().out
    assert "null" not in out
    assert "classes to learn, by name (default: those of the target)\n" in out
    assert "(default: runs/NAME-DATE-TIME)\n" in out
    assert out.count("(default: ") == len(dump_settings(RunConfig()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stategy", "halo"], "unknown option --stategy. Did you mean --strategy?"),
        (["--strat", "halo"], "unknown option --strat."),
        (["--qqq"], "unknown option --qqq. --help lists the options."),
        (["--budjet=0.01"], "unknown option --budjet. Did you mean --budget?"),
        (["--encoder_weights", "none"], "Did you mean --encoder-weights?"),
        (["--steps.a", "3"], "unknown option --steps.a. Did you mean --steps?"),
        (["--steps", "many"], "--steps: expected a whole number, got 'many'"),
        (["--steps", "2.5"], "--steps: expected a whole number, got '2.5'"),
        (["--steps", "null"], "--steps: expected a whole number, got 'None'"),
        (["--learning-rate", "low"], "--learning-rate: expected a number, got 'low'"),
        (["--flip", "maybe"], "--flip: expected true or false, got 'maybe'"),
        (["--scope", "pol"], "expected one of image, pool, got 'pol'. Did you mean pool?"),
        (["--round-steps", "3"], "expected a list of whole numbers such as [0, 100] or null"),
        (["--strategy-options", "3"], "expected a mapping such as {radius: 2}, got '3'"),
        (["--strategy-options.term"], "--strategy-options.term needs a key and a value"),
        (["--size", "180"], "size is '180'; write HEIGHTxWIDTH in pixels, such as 180x240"),
        (["--size", "0x240"], "size is '0x240'"),
        (["--steps"], "--steps: expected one argument"),
        (["halo"], "unexpected argument 'halo'"),
        (["-c", "nowhere.yaml"], "nowhere.yaml cannot be read: No such file"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(arguments, words, capsys):
    assert words in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("budjet: 0.01\n", "run.yaml: unknown key 'budjet'. Did you mean 'budget'?"),
        ("qqq: 1\n", "run.yaml: unknown key 'qqq'. `alseg fit --help` lists them."),
        ("trainer: {budget: 0.01}\n", "run.yaml: unknown key 'trainer'."),
        ("steps: many\n", "run.yaml: steps: expected a whole number, got 'many'"),
        ("steps: null\n", "run.yaml: steps: expected a whole number, got null"),
        ("name: 5\n", "run.yaml: name: expected text or null, got '5'"),
        ("size: [180, 240]\n", "run.yaml: size: expected a size such as 180x240 or null"),
        ("seed: 1\nseed: 2\n", "run.yaml, line 2: 'seed' is given twice"),
        ("seed: [1\n", "run.yaml, line 2: "),
        ("- seed\n", "run.yaml: expected settings such as `budget: 0.01`, got ['seed']"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(text, words, written, capsys):
    assert words in refusal(capsys, "-c", str(written(text)))


def test_an_empty_file_gives_nothing(written):
    assert load_config([written("# nothing yet\n")]) == RunConfig()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"rounds": 0}, "rounds is 0; it must be 1 or more"),
        ({"radius": -1}, "radius is -1; it must be 0 or more"),
        ({"exclusion_radius": -1}, "exclusion_radius is -1"),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"consistency_weight": float("nan")}, "consistency_weight is nan"),
        ({"curvature": -1.0}, "curvature is -1.0"),
        ({"negative_threshold": 1.0}, "negative_threshold is 1.0; it must be in [0, 1)"),
        ({"round_steps": []}, "rising steps from 0"),
        ({"round_steps": [5, 5]}, "rising steps from 0"),
        ({"round_steps": [-1, 5]}, "rising steps from 0"),
        ({"round_steps": [0, 10], "steps": 10}, "training ends after 10 steps"),
        ({"size": (90, 120), "crop": (90, 121)}, "A crop of 90x121 does not fit"),
        ({"protocol": "source_free", "warm_start_steps": 0}, "as init_from, or warm_start_steps"),
        ({"name": "a/b"}, "takes no slash"),
    ],
)
def test_settings_that_make_no_sense_are_refused(chosen, words):
    with pytest.raises(ConfigError) as refused:
        RunConfig(**chosen)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "chosen",
    [
        {"protocol": "source_free", "warm_start_steps": 0, "init_from": "source.ckpt"},
        {"protocol": "source_only", "budget": "0.5"},
        {"round_steps": [0, 9], "steps": 10},
        {"size": (90, 120), "crop": (90, 120)},
        {"radius": 0, "exclusion_radius": 0},
    ],
)
def test_settings_at_the_edge_are_taken(chosen):
    config = RunConfig(**chosen)
    assert {name: getattr(config, name) for name in chosen} == chosen


@pytest.mark.parametrize(
    ("head", "requires", "expected"),
    [
        (None, {"logits"}, "linear"),
        (None, {"logits", "radius"}, "hyperbolic"),
        ("hyperbolic", {"logits"}, "hyperbolic"),
        ("hyperbolic", {"radius"}, "hyperbolic"),
        ("linear", set(), "linear"),
    ],
)
def test_the_head_follows_what_the_strategy_needs(head, requires, expected):
    assert RunConfig(head=head).head_for(requires) == expected


def test_a_linear_head_for_a_strategy_that_needs_the_radius_is_refused():
    with pytest.raises(ConfigError, match="halo needs the hyperbolic radius"):
        RunConfig(head="linear", strategy="halo").head_for({"radius"})


def test_an_unknown_strategy_in_a_file_is_refused(written):
    with pytest.raises(UnknownStrategy, match="hallo"):
        load_config([written("strategy: hallo\n")])


def test_a_resumed_run_takes_the_settings_kept_in_its_folder(tmp_path, capsys):
    kept = RunConfig(seed=5, steps=70, strategy="ripu")
    (tmp_path / "config.yaml").write_text(dump_config(kept), encoding="utf-8")
    arguments = ["fit", "--resume", str(tmp_path), "--workers", "3", "--print-config"]
    assert main(arguments) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["seed"], printed["steps"], printed["strategy"]) == (5, 70, "ripu")
    assert printed["workers"] == 3
    assert printed["resume"] == str(tmp_path)


def test_without_data_the_settings_are_those_of_the_demo(tmp_path, capsys):
    assert main(["fit", "--steps", "7", "--print-config"]) == 0
    (written := tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    demo = Path(__file__).parents[2] / "experiments" / "demo.yaml"
    assert load_config([written]) == dataclasses.replace(load_config([demo]), steps=7)


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path, capsys):
    assert "holds no run to resume" in refusal(capsys, "--resume", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strategy-options.trem", "radius"], "'trem'"),
        (["--strategy-options.term", "nothing"], "'nothing'"),
        (["--head", "linear"], "halo needs the hyperbolic radius"),
    ],
)
def test_what_does_not_fit_the_strategy_is_refused_before_training(options, words, capsys):
    assert words in refusal(capsys, "--strategy", "halo", *options)

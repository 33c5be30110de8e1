import pytest

from alseg.cli.sweep import checker
from alseg.config.run import dump_settings
from alseg.errors import ConfigError
from alseg.sweep.matrix import read_matrix
from alseg.sweep.plan import differences, plan_runs


@pytest.fixture
def plan(tmp_path):
    def make(text, **shared):
        path = tmp_path / "matrix.yaml"
        path.write_text(text)
        matrix = read_matrix(path)
        return plan_runs(matrix, {**shared, **matrix.settings}, tmp_path / "out", checker())

    return make


def by_name(runs):
    return {run.name: run for run in runs}


def test_runs_of_a_seed_and_a_head_share_one_start_which_comes_before_them(plan, tmp_path):
    runs = plan(
        "strategies: [random, ripu, halo, {name: hyper, strategy: ripu, head: hyperbolic}]\n"
        "budgets: [0.01]\nseeds: [0, 1]\nprotocols: [source_only, fully_supervised]\n"
    )
    of_a_seed = [
        "starts/linear-seed{}",
        *("source_only-seed{}", "fully_supervised-seed{}", "random-1%-seed{}", "ripu-1%-seed{}"),
        "starts/hyperbolic-seed{}",
        *("halo-1%-seed{}", "hyper-1%-seed{}"),
    ]
    assert [run.name for run in runs] == [
        name.format(seed) for seed in (0, 1) for name in of_a_seed
    ]
    named = by_name(runs)
    for seed in (0, 1):
        for name in ("source_only", "fully_supervised", "random-1%", "ripu-1%"):
            assert named[f"{name}-seed{seed}"].start is named[f"starts/linear-seed{seed}"]
        for name in ("halo-1%", "hyper-1%"):
            run = named[f"{name}-seed{seed}"]
            assert run.start is named[f"starts/hyperbolic-seed{seed}"]
            checkpoint = tmp_path / f"out/starts/hyperbolic-seed{seed}/checkpoints/last.ckpt"
            assert run.config.init_from == str(checkpoint)
            assert run.config.out == str(tmp_path / f"out/{name}-seed{seed}")
            assert run.config.seed == seed


def test_the_arguments_of_a_run_are_read_as_its_settings(plan):
    runs = plan(
        "settings: {size: 48x64, source_options: {count: 5}, validate_every: 20}\n"
        "strategies: [{strategy: halo, round_steps: [0, 9]}, ripu]\nbudgets: [40 regions]\n"
        "seeds: [4, 2]\nprotocols: [fully_supervised]"
    )
    assert len(runs) == 2 * (3 + 2)
    read = checker()
    assert [read(run.arguments) for run in runs] == [run.config for run in runs]


def test_a_start_is_a_run_on_the_source_for_the_steps_of_the_warm_start(plan):
    start = plan(
        "settings: {steps: 50, decay_steps: 60, round_steps: [0, 40], warm_start_steps: 30}\n"
        "strategies: [halo]\nbudgets: [0.01]"
    )[0].config
    assert (start.protocol, start.steps, start.warm_start_steps) == ("source_only", 30, 0)
    assert (start.head, start.decay_steps, start.init_from) == ("hyperbolic", None, None)


def test_starts_that_differ_in_more_than_head_and_seed_say_in_what_from_the_first(plan):
    runs = plan(
        "may_differ: [learning_rate]\nbudgets: [0.01]\n"
        "strategies: [random, {name: slow, strategy: halo, learning_rate: 1e-5}, halo]"
    )
    assert [run.name for run in runs if run.start is None] == [
        "starts/linear-seed0",
        "starts/hyperbolic-learning_rate-1e-05-seed0",
        "starts/hyperbolic-seed0",
    ]


def test_starts_whose_names_would_be_the_same_are_kept_apart(plan):
    runs = plan(
        "settings: {target: 'scenes:fog'}\n"
        "may_differ: [source]\nbudgets: [0.01]\nstrategies: [random,"
        " {name: a, strategy: random, source: 'scenes:a?'},"
        " {name: b, strategy: random, source: 'scenes:a!'}]"
    )
    assert len({run.start.folder for run in runs if run.start is not None}) == 3


@pytest.mark.parametrize(
    "settings", ["{warm_start_steps: 0}", "{init_from: mine.ckpt}"], ids=["none", "given"]
)
def test_without_a_common_start_to_train_there_is_none(plan, settings):
    (run,) = plan(f"settings: {settings}\nstrategies: [random]\nbudgets: [0.01]")
    assert run.start is None
    assert run.config.init_from == ("mine.ckpt" if "mine" in settings else None)


def test_target_only_takes_no_start_on_the_source(plan):
    (run,) = plan("protocols: [target_only]\nstrategies: [random]\nbudgets: [0.01]")
    assert (run.name, run.start, run.config.init_from) == (
        "target_only-random-1%-seed0",
        None,
        None,
    )


def test_what_a_run_asks_for_and_its_losses_may_differ(plan):
    runs = plan(
        "budgets: [0.01]\nstrategies: [ripu, {name: a, strategy: ripu, rounds: 2, radius: 3,"
        " consistency_weight: 0, strategy_options: {impurity: false}}]"
    )
    assert by_name(runs)["a-1%-seed0"].config.strategy_options == {"radius": 3, "impurity": False}


@pytest.mark.parametrize(
    ("setting", "starts"),
    [
        *[("steps: 10", 1), ("batch_size: 3", 2), ("augmentation: none", 2)],
        ("init_from: other.ckpt", 1),
    ],
)
def test_what_all_runs_should_share_may_not_differ_unless_it_is_said(plan, setting, starts):
    name = setting.split(":")[0]
    text = f"budgets: [0.01]\nstrategies: [random, {{name: a, strategy: ripu, {setting}}}]\n"
    with pytest.raises(ConfigError, match=rf"{name} is .* in a-1%-.*may_differ: \[{name}\]"):
        plan(text)
    assert len(plan(f"{text}may_differ: [{name}]")) == starts + 2


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("{strategy: halo, head: linear}", "halo-head=linear-1%: .*needs the hyperbolic radius"),
        ("{strategy: ripu, strategy_options: {impurty: 1}}", "ripu-impurty=1-1%: .*'impurty'"),
        ("{strategy: halo, strategy_options: {term: 1}}", "halo-term=1-1%: .*term"),
        (
            "{strategy: ripu, rounds: many}",
            "ripu-rounds=many-1%: --rounds: expected a whole number",
        ),
        (
            "{strategy: ripu, annotator: manual}",
            "ripu-annotator=manual-1%: .*do not wait for people",
        ),
    ],
)
def test_impossible_runs_are_refused_by_their_names(plan, strategy, words):
    with pytest.raises(ConfigError, match=words):
        plan(f"budgets: [0.01]\nstrategies: [{strategy}]")


def test_a_run_that_was_started_is_compared_with_the_matrix_but_for_the_machine(plan):
    (run,) = plan(
        "settings: {source: 'scenes:sim', warm_start_steps: 0}\nstrategies: [random]\n"
        "budgets: [0.01]"
    )
    kept = {**vars(run.config), "workers": 9, "accelerator": "gpu", "out": "there"}
    assert differences(kept, run) == []
    assert differences({**kept, "steps": 7}, run) == ["steps is 7 there and 600 in the matrix"]


def test_a_start_named_by_its_whole_path_is_the_same_one(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = plan("settings: {init_from: a/b.ckpt}\nstrategies: [random]\nbudgets: [0.01]")
    kept = dump_settings(run.config)
    assert differences({**kept, "init_from": str(tmp_path / "a/b.ckpt")}, run) == []
    for other in (str(tmp_path / "b.ckpt"), None):
        assert len(differences({**kept, "init_from": other}, run)) == 1


def test_a_start_is_known_by_its_place_where_the_matrix_makes_it_and_by_its_path_where_not(plan):
    start, run = plan("strategies: [random]\nbudgets: [0.01]")
    kept = dump_settings(run.config)
    place = f"{start.name}/checkpoints/last.ckpt"
    assert kept["init_from"].endswith(place)
    assert differences({**kept, "init_from": f"/moved/{place}"}, run) == []
    for other in (f"/moved/{place[:-5]}", place.replace("seed0", "seed1")):
        assert len(differences({**kept, "init_from": other}, run)) == 1
    (run,) = plan(f"settings: {{init_from: a/{place}}}\nstrategies: [random]\nbudgets: [0.01]")
    kept = dump_settings(run.config)
    assert len(differences({**kept, "init_from": f"b/{place}"}, run)) == 1

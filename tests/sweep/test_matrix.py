import pytest

from alseg.errors import AlsegError
from alseg.sweep.matrix import read_matrix


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "matrix.yaml"
        path.write_text(text)
        return read_matrix(path)

    return write_and_read


def names(matrix):
    return [variant.name for variant in matrix.variants]


def test_strategies_are_crossed_with_budgets_and_protocols_without_labels_stand_alone(read):
    matrix = read(
        "strategies: [random, halo]\nbudgets: [0.001, 1%, 40 regions]\nseeds: [3, 1]\n"
        "protocols: [source_only, fully_supervised]\n"
    )
    assert names(matrix) == [
        "source_only",
        "fully_supervised",
        *("random-0.1%", "halo-0.1%", "random-1%", "halo-1%"),
        *("random-40-regions", "halo-40-regions"),
    ]
    assert matrix.seeds == (3, 1)
    assert matrix.variants[0].settings == {"protocol": "source_only"}
    assert matrix.variants[4].settings == {
        "protocol": "source_target",
        "strategy": "random",
        "budget": "0.01",
    }


def test_a_protocol_that_asks_for_labels_is_crossed_with_the_strategies(read):
    matrix = read(
        "strategies: [ripu]\nbudgets: [0.01]\nprotocols: [source_target, source_free, source_only]"
    )
    assert names(matrix) == ["source_only", "ripu-1%", "source_free-ripu-1%"]


def test_a_variant_may_have_a_name_and_settings_of_its_own(read):
    variant = read(
        "strategies:\n  - name: alone\n    strategy: ripu\n"
        "    strategy_options: {impurity: false}\n    head: hyperbolic\nbudgets: [0.05]\n"
    ).variants[0]
    assert variant.name == "alone-5%"
    assert variant.settings["strategy_options"] == {"impurity": False}
    assert variant.settings["head"] == "hyperbolic"


@pytest.mark.parametrize(
    ("strategy", "protocol", "name"),
    [
        ("{strategy: ripu, radius: 4}", "source_target", "ripu-radius=4-1%"),
        (
            "{strategy: ripu, strategy_options: {impurity: false}, head: hyperbolic}",
            "source_free",
            "source_free-ripu-head=hyperbolic-impurity=False-1%",
        ),
        ("{strategy: ripu, round_steps: [0, 60]}", "source_target", "ripu-round_steps=[0-60]-1%"),
        ("ripu", "{name: long, protocol: source_free, steps: 900}", "long-ripu-1%"),
        (
            "{name: mine, strategy: ripu}",
            "{protocol: source_free, steps: 900}",
            "source_free-mine-steps=900-1%",
        ),
        ("{strategy: ripu, workers: 3, experiment: x}", "source_target", "ripu-1%"),
    ],
)
def test_a_variant_without_a_name_is_called_by_what_makes_it(read, strategy, protocol, name):
    text = f"strategies: [{strategy}]\nprotocols: [{protocol}]\nbudgets: [1%]"
    assert names(read(text)) == [name]


def test_blocks_are_run_one_after_the_other_and_each_variant_once(read):
    matrix = read(
        "blocks:\n  - {strategies: [random, ripu], budgets: [0.01]}\n"
        "  - {strategies: [ripu], budgets: [0.01, 0.05]}\n  - protocols: [source_only]\n"
    )
    assert names(matrix) == ["random-1%", "ripu-1%", "ripu-5%", "source_only"]


def test_budgets_that_differ_little_make_names_of_their_own(read):
    matrix = read("strategies: [random]\nbudgets: [0.01, 0.011, 1 regions, 1 clicks]\n")
    assert names(matrix) == [
        "random-1%",
        "random-1.1%",
        "random-1-regions",
        "random-1-clicks",
    ]


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("-1", "The budget -1.0 is not a positive number."),
        ("abc", "Got the budget 'abc'."),
        ("101%", "The budget '101%' is more than every pixel of the pool."),
    ],
)
def test_a_budget_that_cannot_be_read_is_told_with_its_file_and_block(
    read, tmp_path, budget, words
):
    block = f"{{strategies: [random], budgets: [0.01, {budget}]}}"
    for text, where in ((block, ""), (f"blocks: [{{protocols: [source_only]}}, {block}]", "block")):
        with pytest.raises(AlsegError) as refused:
            read(text)
        part = f"{where} 2: budgets" if where else "budgets"
        assert str(refused.value).startswith(f"{tmp_path}/matrix.yaml: {part}: {words}")


def test_the_base_lies_beside_the_matrix(read, tmp_path):
    matrix = read("base: run.yaml\nprotocols: [source_only]")
    assert matrix.base == tmp_path / "run.yaml"


RUNS = "strategies: [random]\nbudgets: [0.01]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stratgies: [random]\nbudgets: [0.01]", "unknown key 'stratgies'. Did you mean 'strateg"),
        ("strategies: [rippu]\nbudgets: [1%]", "unknown strategy 'rippu'. Did you mean 'ripu'?"),
        ("protocols: [source-only]", "unknown protocol 'source-only'. Did you mean 'source_only'?"),
        (RUNS + "settings: {step: 5}", "settings: unknown key 'step'. Did you mean 'steps'?"),
        (
            RUNS + "settings: {seed: 5}",
            "seed cannot be given here, since the matrix decides it: give `se",
        ),
        (RUNS + "may_differ: [step]", "may_differ: unknown key 'step'. Did you mean 'steps'?"),
        ("strategies: [{strategy: ripu, budget: 1}]\nbudgets: [1%]", "budget cannot be given here"),
        ("strategies: [{name: mine}]\nbudgets: [1%]", "expected a name, or a mapping"),
        (
            "strategies: [{name: a/b, strategy: ripu}]\nbudgets: [1%]",
            "without a slash, a backslash",
        ),
        ("strategies: random\nbudgets: [1%]", "strategies: expected a list"),
        ("strategies: [random]", "strategies need budgets"),
        ("budgets: [0.01]", "budgets need strategies"),
        ("protocols: [source_free]", "the protocol source_free need strategies"),
        ("seeds: [0]", "names nothing to run"),
        ("protocols: []", "names nothing to run"),
        ("strategies: []\nbudgets: []", "names nothing to run"),
        ("strategies: [{stratgy: ripu}]\nbudgets: [1%]", "'stratgy'. Did you mean 'strategy'?"),
        ("strategies: [random, null]\nbudgets: [1%]", "got None"),
        (RUNS + "blocks: [{protocols: [source_only]}]", "strategies, budgets stand beside blocks"),
        ("blocks: [{protocol: [source_only]}]", "block 1: unknown key 'protocol'. Did you mean"),
        (RUNS + "seeds: [0, 1.5]", "seeds: expected whole numbers"),
        (RUNS + "seeds: [1, 1]", "names a seed twice"),
        (RUNS + "base: [run.yaml]", "base: expected the path"),
        ("strategies: [random]\nbudgets: [2]", "more than every pixel"),
        ("strategies: [random, random]\nbudgets: [1%]", "strategies: random is named twice"),
        (
            "strategies: [ripu, {name: ripu2, strategy: ripu}]\nbudgets: [1%]",
            "strategies: ripu and ripu2 are the same",
        ),
        ("protocols: [source_only, source_only]", "protocols: source_only is named twice"),
        ("strategies: [random]\nbudgets: [0.01, 1%]", "budgets: 0.01 and 1% are the same"),
        (
            "blocks: [{protocols: [source_only]}, {strategies: [random], budgets: [0.01, 1%]}]",
            "block 2: budgets: 0.01 and 1% are the same",
        ),
        (
            "strategies: [ripu, {name: ripu, strategy: ripu, head: hyperbolic}]\nbudgets: [1%]",
            "two variants are called 'ripu-1%'",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(read, text, words):
    with pytest.raises(AlsegError) as refused:
        read(text)
    assert words in str(refused.value)

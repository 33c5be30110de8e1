import gc
import hashlib
import os
import re
import signal
import textwrap
import weakref
from copy import deepcopy

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests.helpers.processes import Ranks, run_ranks
from tests.helpers.toys import SPACE, Toy, quiet_trainer
from torch import nn

from alseg.active import ActiveLoop
from alseg.config.protocols import PROTOCOLS
from alseg.data.module import SegmentationDataModule
from alseg.data.views import carry
from alseg.distributed import ranks
from alseg.errors import ConfigError
from alseg.models import Network, Optimization
from alseg.runs.checkpoint import load_module
from alseg.training.modes import evaluating
from alseg.training.module import SegmentationModule
from alseg.training.step import DomainStep, LossTerm, Step
from alseg.training.terms import (
    TERMS,
    build_terms,
    check_terms,
    loss_settings,
    masked_cross_entropy,
)
from alseg.training.unlabelled import LEARNT


def test_cross_entropy_is_the_mean_over_the_labelled_pixels():
    logits = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])
    labels = torch.tensor([[[0, 255]]])
    expected = -torch.tensor([2.0, 0.0]).log_softmax(0)[0]
    assert masked_cross_entropy(logits, labels) == pytest.approx(float(expected))


def test_without_a_label_the_loss_and_its_gradient_are_0():
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.full((2, 4, 5), 255))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        ("source_only", {"source"}),
        ("source_target", {"source", "target", "consistency", "negative"}),
        ("source_free", {"target", "negative"}),
        ("target_only", {"target", "negative"}),
        ("fully_supervised", {"target"}),
    ],
)
def test_each_protocol_sums_its_own_terms(protocol, names):
    terms = build_terms(PROTOCOLS[protocol], loss_settings({}))
    assert {term.name for term in terms} == names
    assert all(set(term.domains) <= set(PROTOCOLS[protocol].domains) for term in terms)


def test_a_term_of_weight_0_is_left_out():
    terms = build_terms(PROTOCOLS["source_target"], loss_settings({"consistency_weight": 0.0}))
    assert "consistency" not in {term.name for term in terms}


def test_a_setting_reaches_its_term():
    settings = loss_settings({"negative_threshold": 0.2, "target_weight": 3.0})
    of = {term.name: term for term in build_terms(PROTOCOLS["source_target"], settings)}
    assert of["negative"].threshold == 0.2
    assert {name: term.weight for name, term in of.items()} == {
        "source": 1.0,
        "target": 3.0,
        "consistency": 0.1,
        "negative": 1.0,
    }


def test_the_protocols_name_terms_that_there_are():
    named = {name for protocol in PROTOCOLS.values() for name in protocol.terms}
    named |= {name for terms in LEARNT.values() for name in terms}
    assert named == {term.name for term in TERMS}


@pytest.mark.parametrize("name", ["source", "target", "consistency", "negative"])
def test_every_term_is_a_scalar_connected_to_the_logits(name):
    logits = torch.randn(2, 3, 6, 7, requires_grad=True)
    labels = torch.randint(0, 3, (2, 6, 7))
    terms = {term.name: term for term in build_terms(PROTOCOLS["source_target"], loss_settings({}))}
    part = DomainStep(
        images=torch.zeros(2, 3, 6, 7),
        labels=labels,
        geometry=torch.eye(2, 3).expand(2, 2, 3),
        logits=logits,
        features=torch.zeros(2, 8, 3, 4),
        views={},
    )
    domain = terms[name].domains[0]
    value = terms[name](Step(0, nn.Identity(), **{domain: part}))
    value.backward()
    assert value.shape == ()
    assert logits.grad.abs().sum() > 0


UNTRAINED = Network(encoder_weights="none")


class Follow(LossTerm):
    """A strongly changed view of the target follows a slow copy of the network on a mild one."""

    name = "follow"
    domains = ("target",)
    views = {"target": {"mild": "light", "strong": "strong"}}  # noqa: RUF012
    rate = 0.25

    def __init__(self, weight=1.0):
        super().__init__(weight)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.seen, self.numbers, self.before_steps = [], [], []

    def prepare(self, network):
        self.teacher = deepcopy(network).requires_grad_(False).eval()

    def forward(self, step):
        self.seen.append(digest(self.state_dict()))
        self.before_steps.append(step.number)
        views = step.target.views
        with torch.no_grad():
            taught = self.teacher(views["mild"].images).logits.softmax(1)
        taught, inside = carry(taught, views["mild"], views["strong"])
        found = step.network(views["strong"].images).logits.softmax(1)
        return ((found - taught).square().sum(1) * inside).mean()

    def after_step(self, step):
        self.numbers.append(step.number)
        self.steps += 1
        for slow, fast in zip(self.teacher.parameters(), step.network.parameters(), strict=True):
            slow.lerp_(fast, self.rate)
        for slow, fast in zip(self.teacher.buffers(), step.network.buffers(), strict=True):
            slow.copy_(fast)


class Following(SegmentationModule):
    """A module as a user writes it who has a term of their own."""

    def configure_losses(self):
        return [*super().configure_losses(), Follow(2.0)]


def digest(state):
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def images():
    return SegmentationDataModule(source=Toy(4, seed=1), target=Toy(5), batch_size=2)


def new_module(kind=Following, **settings):
    L.seed_everything(0, verbose=False)
    return kind(SPACE, network=UNTRAINED, seed=0, **settings)


class Killed(Callback):
    """Kills the process before a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *rest):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def train_in_rounds(folder, network, killed_at=None):
    """Train four steps with rounds at 0 and 2, from the last checkpoint if there is one."""
    world, last = int(os.environ.get("WORLD_SIZE", "1")), folder / "last.ckpt"
    loop = ActiveLoop(
        "entropy",
        0.05,
        round_steps=[0, 2],
        checkpoint=last,
        store=folder / "labels",
        progress=False,
    )
    callbacks = [loop, *([] if killed_at is None else [Killed(killed_at)])]
    way = {"devices": world, "strategy": "ddp"} if world > 1 else {}
    runner = quiet_trainer(folder, 4, callbacks=callbacks, **way)
    runner.fit(network, images(), ckpt_path=last if last.exists() else None)
    runner.save_checkpoint(folder / "end.ckpt")


def train(folder, killed_at=None):
    network = new_module()
    train_in_rounds(folder, network, killed_at)
    term = network.terms["follow"]
    weights = [p.numpy().tobytes() for p in term.teacher.parameters()]
    assert len(set(map(str, ranks.gather([term.seen, term.numbers])))) == 1
    assert len(set(ranks.gather(hashlib.sha256(b"".join(weights)).hexdigest()))) == 1
    assert len(set(term.seen)) == len(term.seen) > 0


def load(path):
    return torch.load(path, weights_only=True)


def tensors(content, prefix=""):
    """The tensors of nested dicts and lists by their place."""
    if isinstance(content, torch.Tensor):
        return {prefix: content}
    if not isinstance(content, (dict, list)):
        return {}
    items = content.items() if isinstance(content, dict) else enumerate(content)
    return {k: v for n, part in items for k, v in tensors(part, f"{prefix}/{n}").items()}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_teacher_is_equal_on_all_processes_and_resumed_after_a_kill_bit_for_bit(
    tmp_path, processes
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_ranks(train, whole, ranks=processes, folder=tmp_path / "whole-logs")
    killed = Ranks(train, broken, 3, ranks=processes, folder=tmp_path / "broken-logs")
    assert killed.wait() == [-signal.SIGKILL] * processes, killed.said()
    # The checkpoint before the second round is of the moment after the step, its terms' too.
    saved = load(broken / "last.ckpt")
    assert (saved["global_step"], int(saved["state_dict"]["terms.follow.steps"])) == (2, 2)
    run_ranks(train, broken, ranks=processes, folder=tmp_path / "broken-logs")
    there, here = (load(folder / "end.ckpt") for folder in (whole, broken))
    assert any(name.startswith("terms.follow.teacher.") for name in there["state_dict"])
    for part in ("state_dict", "optimizer_states"):
        expected, found = tensors(there[part]), tensors(here[part])
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


class Weights(Callback):
    """Keeps the network's parameters at the start and after each step."""

    def __init__(self):
        self.kept = []

    def on_train_start(self, trainer, pl_module):
        self.kept.append([p.detach().clone() for p in pl_module.segmenter.parameters()])

    def on_train_batch_end(self, trainer, pl_module, *rest):
        self.on_train_start(trainer, pl_module)


def test_a_teacher_starts_from_the_weights_of_the_training_and_follows_those_after_each_step(
    tmp_path,
):
    network, weights = new_module(protocol="target_only"), Weights()
    with torch.no_grad():
        # As where the weights of another training are loaded into a module.
        network.segmenter.head.classifier.weight.fill_(0.5)
    loop = ActiveLoop("random", 0.05, rounds=1, progress=False)
    quiet_trainer(tmp_path, 3, callbacks=[weights, loop]).fit(network, images())
    start, *after = weights.kept
    assert any((p == 0.5).all() for p in start)
    expected = [p.clone() for p in start]
    for parameters in after:
        for slow, fast in zip(expected, parameters, strict=True):
            slow += (fast - slow) * Follow.rate
    teacher = network.terms["follow"].teacher
    assert all(
        torch.allclose(found, slow, atol=1e-6, rtol=0)
        for found, slow in zip(teacher.parameters(), expected, strict=True)
    )
    assert not any(map(torch.equal, teacher.parameters(), start))


def test_with_several_batches_to_a_step_a_term_looks_back_once_for_each_step(tmp_path):
    network = new_module()
    loop = ActiveLoop("random", 0.05, rounds=1, progress=False)
    runner = quiet_trainer(tmp_path, 3, accumulate_grad_batches=2, callbacks=[loop])
    runner.fit(network, images())
    term = network.terms["follow"]
    assert term.before_steps == [0, 0, 1, 1, 2, 2]
    assert term.numbers == [0, 1, 2]


class Watched(LossTerm):
    """Keeps weak references to the steps that it has seen."""

    name = "watched"
    domains = ("source",)

    def forward(self, step):
        self.step = weakref.ref(step)
        assert step.target is None
        with pytest.raises(KeyError, match="target"):
            step["target"]
        assert step["source"].logits.shape == (2, 3, 32, 48)
        assert step["source"].features.requires_grad
        assert not step["source"].views
        return step["source"].features.square().mean()


class LooksBack(Watched):
    def after_step(self, step):
        self.found = step.source
        assert not torch.is_grad_enabled()


class Alive(Callback):
    """Asks whether the step is still in memory where a round would be held."""

    def on_train_batch_end(self, trainer, pl_module, *rest):
        gc.collect()
        self.step = pl_module.terms["watched"].step()


@pytest.mark.parametrize("kind", [Watched, LooksBack])
def test_nothing_of_a_step_is_kept_but_what_a_term_looks_back_at(tmp_path, kind):
    class With(SegmentationModule):
        def configure_losses(self):
            return [kind()]

    network, alive = new_module(With, protocol="source_only"), Alive()
    quiet_trainer(tmp_path, 1, callbacks=[alive]).fit(network, images())
    assert alive.step is None
    assert network._last_step is None
    if kind is LooksBack:
        found = network.terms["watched"].found
        assert not found.logits.requires_grad
        assert not found.features.requires_grad


def test_a_batch_holds_no_views_where_no_term_asks_for_them(tmp_path):
    class Batches(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.views = {domain: set(part.get("views", {})) for domain, part in batch.items()}

    seen = {}
    for kind in (SegmentationModule, Following):
        batches = Batches()
        loop = ActiveLoop("random", 0.05, rounds=1, progress=False, store=tmp_path / kind.__name__)
        quiet_trainer(tmp_path, 1, callbacks=[loop, batches]).fit(new_module(kind), images())
        seen[kind] = batches.views
    assert seen[SegmentationModule] == {"source": set(), "target": set()}
    assert seen[Following] == {"source": set(), "target": {"mild", "strong"}}


def test_a_checkpoint_with_the_state_of_a_term_of_a_script_segments_without_the_script(tmp_path):
    network = new_module()
    runner = quiet_trainer(tmp_path, 1)
    runner.strategy.connect(network)
    runner.save_checkpoint(tmp_path / "one.ckpt")
    image = np.random.default_rng(0).integers(0, 255, (33, 47, 3), dtype=np.uint8)
    opened = load_module(str(tmp_path / "one.ckpt"), "cpu")
    assert type(opened) is SegmentationModule
    assert np.array_equal(opened.segment(image), network.segment(image))
    again = Following.load_from_checkpoint(tmp_path / "one.ckpt")
    assert digest(again.terms.state_dict()) == digest(network.terms.state_dict())


def test_a_part_in_evaluation_mode_stays_so_after_a_network_was_evaluated():
    network = new_module()
    with evaluating(network):
        assert not any(part.training for part in network.modules())
    assert network.segmenter.training
    assert not any(part.training for part in network.terms["follow"].teacher.modules())


def term(name="mine", domains=("target",), views=None):
    fields = {"name": name, "domains": domains, "views": views or {}}
    return type("Mine", (LossTerm,), fields)()


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([term(), term()], "2 loss terms are called mine"),
        ([term("a.b")], r"called 'a\.b', which PyTorch cannot save"),
        ([term("keys")], "give Mine another name"),
        ([term(domains=("target", "source"))], "term mine looks at the source, which the protocol"),
        ([term(views={"source": {"a": "light"}})], "term mine looks at the source"),
        (
            [term(views={"target": {"a": "lihgt"}})],
            "term mine asks for the view 'a' of the target: .* Did you mean 'light'",
        ),
        (
            [
                term(views={"target": {"a": "light"}}),
                term("other", views={"target": {"a": "none"}}),
            ],
            "term other asks for the view 'a' of the target with the augmentation 'none', another",
        ),
    ],
)
def test_terms_that_cannot_be_are_refused_by_name(terms, message):
    with pytest.raises(ConfigError, match=message):
        check_terms(terms, PROTOCOLS["target_only"])


class Projects(LossTerm):
    """Has a weight of its own to train."""

    name = "projects"
    domains = ("target",)

    def prepare(self, network):
        torch.manual_seed(1)
        self.projection = nn.Conv2d(network.head.in_channels, 2, 1)

    def forward(self, step):
        return self.projection(step["target"].features).square().mean()


def test_parameters_of_a_term_are_trained_at_the_rate_of_the_head(tmp_path):
    class With(SegmentationModule):
        def configure_losses(self):
            return [*super().configure_losses(), Projects()]

    class Gradients(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            weight = pl_module.terms["projects"].projection.weight
            self.before, self.gradient = weight.detach().clone(), weight.grad.clone()

    network, seen = (
        new_module(With, optimization=Optimization("sgd", 0.01, momentum=0)),
        Gradients(),
    )
    loop = ActiveLoop("random", 0.05, rounds=1, progress=False)
    quiet_trainer(tmp_path, 1, callbacks=[loop, seen]).fit(network, images())
    # One step of plain gradient descent at ten times the rate of the encoder.
    found = network.terms["projects"].projection.weight.detach()
    torch.testing.assert_close(found, seen.before - 0.1 * seen.gradient)
    assert seen.gradient.any()


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_the_example_in_the_documentation_of_a_term_trains(tmp_path, head):
    example = re.search(r"```python\n(.*?)```", LossTerm.__doc__, re.DOTALL)
    names = {}
    exec(textwrap.dedent(example[1]), names)
    network = names["WithAgreement"](
        SPACE, network=Network(encoder_weights="none", head=head), protocol="target_only"
    )
    start = deepcopy(network.teacher.network)
    loop = ActiveLoop("entropy", 0.05, rounds=1, progress=False)
    runner = quiet_trainer(tmp_path, 2, callbacks=[loop])
    runner.fit(network, images())
    assert float(runner.logged_metrics["train/agreement"]) > 0
    taught, began = network.teacher.network.state_dict(), start.state_dict()
    moved = {name for name in taught if not torch.equal(taught[name], began[name])}
    assert any(name.endswith("weight") for name in moved)
    assert {name for name in taught if name.endswith("running_mean")} <= moved

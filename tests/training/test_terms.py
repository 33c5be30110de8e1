import pytest
import torch

from alseg.config.protocols import PROTOCOLS
from alseg.training.terms import TERMS, View, build_terms, loss_settings, masked_cross_entropy


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
    assert all(term.domain in PROTOCOLS[protocol].domains for term in terms)


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
    assert named == {term.name for term in TERMS}


@pytest.mark.parametrize("name", ["source", "target", "consistency", "negative"])
def test_every_term_is_a_scalar_connected_to_the_logits(name):
    logits = torch.randn(2, 3, 6, 7, requires_grad=True)
    labels = torch.randint(0, 3, (2, 6, 7))
    terms = {term.name: term for term in build_terms(PROTOCOLS["source_target"], loss_settings({}))}
    value = terms[name](View(logits, labels))
    value.backward()
    assert value.shape == ()
    assert logits.grad.abs().sum() > 0

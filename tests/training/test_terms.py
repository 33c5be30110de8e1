import pytest
import torch

from alseg.config.protocols import PROTOCOLS
from alseg.training.terms import View, build_terms, masked_cross_entropy

WEIGHTS = {
    "source_weight": 1.0,
    "target_weight": 1.0,
    "consistency_weight": 0.1,
    "negative_weight": 1.0,
    "negative_threshold": 0.05,
}


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
    terms = build_terms(PROTOCOLS[protocol], **WEIGHTS)
    assert {term.name for term in terms} == names
    assert all(term.domain in PROTOCOLS[protocol].domains for term in terms)


def test_a_term_of_weight_0_is_left_out():
    terms = build_terms(PROTOCOLS["source_target"], **{**WEIGHTS, "consistency_weight": 0.0})
    assert "consistency" not in {term.name for term in terms}


@pytest.mark.parametrize("name", ["source", "target", "consistency", "negative"])
def test_every_term_is_a_scalar_connected_to_the_logits(name):
    logits = torch.randn(2, 3, 6, 7, requires_grad=True)
    labels = torch.randint(0, 3, (2, 6, 7))
    terms = {term.name: term for term in build_terms(PROTOCOLS["source_target"], **WEIGHTS)}
    value = terms[name](View(logits, labels))
    value.backward()
    assert value.shape == ()
    assert logits.grad.abs().sum() > 0

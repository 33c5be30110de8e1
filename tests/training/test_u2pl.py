"""U2PL's functions against vectors of the published formulas, plain loops and closed forms."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alseg.training import u2pl
from alseg.training.u2pl import (
    anchor_masks,
    contrastive_loss,
    entropy_map,
    negative_masks,
    percentile_of,
    unsupervised_loss,
)


@pytest.fixture
def vectors(shared: Path):
    data = np.load(shared / "conformance" / "u2pl_c19.npz")
    return {name: torch.from_numpy(np.asarray(data[name])) for name in data}


def test_unsupervised_loss_and_gradient_agree_with_the_vectors(vectors):
    student = vectors["unsup_student_logits"].requires_grad_()
    teacher, pseudo = vectors["unsup_teacher_logits"], vectors["unsup_pseudo"]
    loss = unsupervised_loss(student, teacher, pseudo, float(vectors["unsup_percentile"]))
    (gradient,) = torch.autograd.grad(loss, student)
    expected = vectors["unsup_grad"]
    assert loss.item() == pytest.approx(float(vectors["unsup_loss"]), rel=1e-4)
    assert (gradient - expected).norm() <= 1e-4 * expected.norm()
    threshold = percentile_of(entropy_map(teacher)[pseudo != 255], 85)
    assert float(threshold) == pytest.approx(float(vectors["unsup_threshold"]), rel=1e-5)


def reliable_of(vectors):
    entropies = entropy_map(vectors["prob_u"].log())
    return entropies <= vectors["low_threshold"], entropies >= vectors["high_threshold"]


def test_anchors_agree_with_the_vectors(vectors):
    reliable = torch.cat([vectors["label_l"] != 255, reliable_of(vectors)[0]])
    labels = torch.cat([vectors["label_l"], vectors["pseudo_u"]])
    probabilities = torch.cat([vectors["prob_l"], vectors["prob_u"]])
    assert torch.equal(anchor_masks(labels, probabilities, reliable), vectors["anchors"])


def test_negatives_agree_with_the_vectors(vectors):
    labelled, unlabelled = negative_masks(
        vectors["label_l"],
        vectors["pseudo_u"],
        vectors["prob_l"],
        vectors["prob_u"],
        reliable_of(vectors)[1],
        int(vectors["low_rank"]),
        int(vectors["high_rank"]),
    )
    assert torch.equal(labelled, vectors["negatives_labelled"])
    assert torch.equal(unlabelled, vectors["negatives_unlabelled"])


def test_contrastive_loss_agrees_with_the_vectors(vectors):
    pseudo = torch.where(reliable_of(vectors)[0], vectors["pseudo_u"], 255)
    keys = vectors["negatives_constant"]
    loss = contrastive_loss(
        vectors["rep_constant"],
        vectors["rep_teacher"],
        vectors["label_l"],
        pseudo,
        torch.cat([vectors["prob_l"], vectors["prob_u"]]),
        {number: keys[number].expand(200, -1) for number in range(19)},
    )
    assert loss.item() == pytest.approx(float(vectors["contrastive_loss"]), rel=1e-4)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30), st.floats(0, 100))
def test_a_percentile_is_that_of_numpy(values, percentile):
    found = percentile_of(torch.tensor(values, dtype=torch.float64), percentile)
    assert float(found) == pytest.approx(np.percentile(values, percentile), abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 5), st.data())
def test_masks_are_those_of_a_plain_loop(seed, classes, data):
    low = data.draw(st.integers(1, classes))
    high = data.draw(st.integers(low, classes + 3))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, classes, (2, 3, 4), generator=generator)
    labels[labels < 0] = 255
    pseudo = labels.flip(0)
    known, unknown = (torch.randn(2, classes, 3, 4, generator=generator).softmax(1) for _ in "ab")
    flags = torch.rand(2, 3, 4, generator=generator) > 0.5
    anchors = anchor_masks(labels, known, flags, 0.3)
    of_labelled, of_unlabelled = negative_masks(labels, pseudo, known, unknown, flags, low, high)
    for c, b, y, x in np.ndindex(classes, 2, 3, 4):
        label = int(labels[b, y, x])
        rank = sum(float(known[b, k, y, x]) > float(known[b, c, y, x]) for k in range(classes))
        sure = label == c and bool(flags[b, y, x]) and float(known[b, c, y, x]) > 0.3
        assert bool(anchors[c, b, y, x]) == sure
        assert bool(of_labelled[c, b, y, x]) == (label not in (255, c) and rank < low)
        rank = sum(float(unknown[b, k, y, x]) > float(unknown[b, c, y, x]) for k in range(classes))
        expected = bool(flags[b, y, x]) and int(pseudo[b, y, x]) != 255 and low <= rank < high
        assert bool(of_unlabelled[c, b, y, x]) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_opposite_keys_give_the_closed_form(dtype):
    features = torch.tensor([1.0, 0.0], dtype=dtype)[None, :, None, None].expand(2, 2, 2, 2)
    labels = torch.full((1, 2, 2), 1)
    probabilities = torch.tensor([0.1, 0.9])[None, :, None, None].expand(2, 2, 2, 2)
    keys = {1: torch.tensor([[-2.0, 0.0]], dtype=dtype)}
    loss = contrastive_loss(features, features, labels, labels, probabilities, keys)
    assert float(loss) == pytest.approx(math.log(1 + 50 * math.exp(-4)), rel=1e-3)


def test_the_same_generator_draws_the_same_anchors_and_keys():
    features = torch.randn(2, 4, 3, 3)
    labels, probabilities = torch.zeros(1, 3, 3, dtype=torch.long), torch.rand(2, 2, 3, 3)
    keys = {0: torch.randn(70, 4)}

    def loss(seed):
        generator = torch.Generator().manual_seed(seed)
        return contrastive_loss(
            features, features, labels, labels, probabilities, keys, generator=generator
        )

    assert torch.equal(loss(1), loss(1))
    assert not torch.equal(loss(1), loss(2))


NONE, ALL = torch.full((1, 3, 3), 255), torch.ones(1, 3, 3, dtype=torch.long)


@pytest.mark.parametrize("classes", [2, 3, 19])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("labels", "pseudo", "probability", "keys"),
    [
        (NONE, NONE, 0.9, {1: torch.randn(5, 4)}),
        (ALL, ALL, 0.9, {}),
        (ALL, ALL, 0.9, {1: torch.zeros(0, 4)}),
        (ALL, ALL, 0.9, {0: torch.randn(5, 4)}),
        (ALL, NONE, 0.2, {1: torch.randn(5, 4)}),
    ],
    ids=["no label", "no keys", "an empty queue", "keys of another class", "no anchor"],
)
def test_where_nothing_can_be_compared_the_loss_is_0_with_a_gradient_of_0(
    classes, dtype, labels, pseudo, probability, keys
):
    features = torch.randn(2, 4, 3, 3, dtype=dtype, requires_grad=True)
    probabilities = torch.full((2, classes, 3, 3), (1 - probability) / (classes - 1))
    probabilities[:, 1] = probability
    loss = contrastive_loss(features, features, labels, pseudo, probabilities, keys)
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("pseudo", "percentile"), [(NONE, 80), (ALL, 0), (ALL, 80)])
def test_without_a_reliable_pixel_the_unsupervised_loss_is_0(dtype, pseudo, percentile):
    student = torch.randn(1, 3, 3, 3, dtype=dtype, requires_grad=True)
    # Equal entropies: none is below any percentile of them.
    loss = unsupervised_loss(student, torch.zeros(1, 3, 3, 3, dtype=dtype), pseudo, percentile)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == 0
    assert not gradient.any()


def test_a_probability_of_0_has_an_entropy_of_0():
    logits = torch.tensor([0.0, -1e4])[None, :, None, None]
    assert float(entropy_map(logits)) == 0
    assert float(entropy_map(torch.zeros(1, 7, 1, 1))) == pytest.approx(math.log(7))


def test_the_examples_of_the_functions_give_what_they_say():
    found = doctest.testmod(u2pl)
    assert found.attempted
    assert not found.failed

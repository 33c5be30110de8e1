from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alseg.training.losses import local_consistency_loss, negative_learning_loss

LOSSES = {
    "consistency": lambda logits, labels: local_consistency_loss(logits, labels),
    "negative": lambda logits, labels: negative_learning_loss(logits),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("vectors", ["c19_k1", "c19_k4", "c11_k1"])
def test_loss_and_gradient_are_those_of_the_published_program(shared: Path, vectors, name):
    data = np.load(shared / "conformance" / f"{vectors}.npz")
    logits = torch.from_numpy(data["logits"]).requires_grad_()
    loss = LOSSES[name](logits, torch.from_numpy(data["labels"]))
    (gradient,) = torch.autograd.grad(loss, logits)
    expected = torch.from_numpy(data[f"{name}_grad"])
    assert loss.item() == pytest.approx(float(data[f"{name}_loss"]), rel=1e-4)
    assert (gradient - expected).norm() <= 1e-4 * expected.norm()
    assert (gradient - expected).abs().max() <= 1e-4 * expected.abs().max()


def consistency_by_loops(
    probabilities: np.ndarray, labels: np.ndarray, where: str, rows: int | None = None
) -> float:
    _, height, width = probabilities.shape
    total, count = 0.0, 0
    for row in range(height if rows is None else rows):
        for column in range(width):
            window = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            laplacian = sum(
                int(labels[row, column])
                - (int(labels[r, c]) if 0 <= r < height and 0 <= c < width else 0)
                for r, c in window
            )
            if labels[row, column] == 255 or (where == "boundary" and laplacian == 0):
                continue
            mean = np.mean(
                [
                    probabilities[:, min(max(r, 0), height - 1), min(max(c, 0), width - 1)]
                    for r, c in window
                ],
                axis=0,
            )
            total += np.abs(probabilities[:, row, column] - mean).sum()
            count += 1
    return total / count if count else 0.0


@pytest.mark.parametrize("where", ["boundary", "all"])
def test_what_is_beside_an_image_neither_counts_nor_gets_a_gradient(where):
    """The image is the upper half; its last row sees what is beside it, and is left out."""
    generator = torch.Generator().manual_seed(0)
    logits = (2 * torch.randn(1, 6, 8, 8, generator=generator)).requires_grad_()
    labels = torch.randint(0, 6, (1, 8, 8), generator=generator)
    labels[:, 4:] = 255
    valid = torch.zeros(1, 8, 8, dtype=torch.bool)
    valid[:, :4] = True
    probabilities = logits.detach().softmax(1)[0].numpy()
    losses = (
        (
            local_consistency_loss(logits, labels, where=where, valid=valid),
            consistency_by_loops(probabilities, labels[0].numpy(), where, rows=3),
        ),
        (
            negative_learning_loss(logits, 0.1, valid),
            negative_learning_loss(logits[:, :, :4], 0.1).item(),
        ),
    )
    for loss, expected in losses:
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert (gradient[:, :, 4:] == 0).all()
        assert (gradient[:, :, :3] != 0).any()


@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    where=st.sampled_from(["boundary", "all"]),
    ids=st.lists(st.sampled_from([0, 1, 2, 255]), min_size=36, max_size=36),
)
@settings(deadline=None, max_examples=60)
def test_consistency_is_the_plain_loop_at_every_size(height, width, where, ids):
    labels = np.array(ids[: height * width]).reshape(height, width)
    generator = torch.Generator().manual_seed(height * 7 + width)
    logits = torch.randn(1, 3, height, width, generator=generator, dtype=torch.float64)
    loss = local_consistency_loss(logits, torch.from_numpy(labels)[None], where=where)
    expected = consistency_by_loops(logits.softmax(1)[0].numpy(), labels, where)
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_consistency_takes_another_ignore_index():
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[[0, 1], [1, 2]]])
    masked = labels.clone()
    masked[0, 0, 0] = 7
    whole = local_consistency_loss(logits, labels, where="all") * 4
    rest = local_consistency_loss(logits, masked, ignore_index=7, where="all") * 3
    corner = torch.ones(1, 2, 2, dtype=torch.long) * 7
    corner[0, 0, 0] = 0
    first = local_consistency_loss(logits, corner, ignore_index=7, where="all")
    assert (rest + first).item() == pytest.approx(whole.item(), rel=1e-5)


def test_negative_learning_is_the_mean_over_the_improbable():
    probabilities = torch.tensor([0.9, 0.06, 0.03, 0.01], dtype=torch.float64)
    logits = probabilities.log()[None, :, None, None]
    expected = -(np.log(0.97) + np.log(0.99)) / 2
    assert negative_learning_loss(logits).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("loss", "logits"),
    [
        (
            lambda x: local_consistency_loss(x, torch.full((2, 4, 5), 255)),
            torch.randn(2, 3, 4, 5),
        ),
        (
            lambda x: local_consistency_loss(x, torch.full((2, 4, 5), 255), where="all"),
            torch.randn(2, 3, 4, 5),
        ),
        (
            lambda x: local_consistency_loss(x, torch.zeros(2, 4, 5, dtype=torch.long)),
            torch.randn(2, 3, 4, 5),
        ),
        (negative_learning_loss, torch.zeros(2, 3, 4, 5)),
        (negative_learning_loss, torch.zeros(2, 3, 1, 1)),
    ],
)
def test_nothing_that_qualifies_gives_zero_and_a_gradient_of_zero(loss, logits):
    logits = logits.clone().requires_grad_()
    value = loss(logits)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_in_float32_under_bfloat16_autocast(name):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1, 19, 9, 9, generator=generator)
    labels = torch.randint(0, 19, (1, 9, 9), generator=generator)
    labels[0, 0] = 255
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = LOSSES[name](logits, labels)
        rounded = LOSSES[name](logits.bfloat16(), labels)
    assert inside.dtype == rounded.dtype == torch.float32
    assert torch.equal(inside, LOSSES[name](logits, labels))
    assert rounded.item() == pytest.approx(inside.item(), rel=0.02)


@pytest.mark.parametrize("scale", [1e2, 1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_huge_logits_give_finite_gradients(name, scale):
    generator = torch.Generator().manual_seed(0)
    logits = (scale * torch.randn(1, 5, 6, 6, generator=generator)).requires_grad_()
    loss = LOSSES[name](logits, torch.randint(0, 5, (1, 6, 6), generator=generator))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_an_unknown_place_is_an_error():
    with pytest.raises(ValueError, match="'boundary' or 'all'"):
        local_consistency_loss(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2), where="edges")

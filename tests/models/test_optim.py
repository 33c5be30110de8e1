import lightning
import pytest
import torch
from tests.helpers.toys import quiet_trainer
from torch import nn
from torch.nn import functional

from alseg.errors import ConfigError
from alseg.models import HyperbolicHead, LinearHead, Optimization, Segmenter, build_optimizer

OPTIMIZERS = ["adam", "sgd"]


class EncoderOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 6, 1)

    def forward(self, images):
        return self.encoder(images)


def small(head="hyperbolic", curvature=1.0):
    torch.manual_seed(0)
    heads = {
        "linear": lambda: LinearHead(6, 4),
        "hyperbolic": lambda: HyperbolicHead(6, 4, dim=3, curvature=curvature),
    }
    return Segmenter(EncoderOnly(), heads[head](), stride=1)


def loss_of(segmenter):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 5, 5, generator=generator)
    labels = torch.randint(0, 4, (2, 5, 5), generator=generator)
    return functional.cross_entropy(segmenter(images).logits, labels)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("curvature", [0.3, 1.0, 4.0])
def test_class_points_move_and_stay_in_the_ball(name, curvature):
    segmenter = small(curvature=curvature)
    start = segmenter.head.points.detach().clone()
    optimizer = build_optimizer(segmenter, Optimization(name, 1.0, head_lr_factor=10.0))
    for _ in range(40):
        optimizer.zero_grad()
        loss_of(segmenter).backward()
        optimizer.step()
        norms = curvature**0.5 * segmenter.head.points.norm(dim=1)
        assert norms.isfinite().all()
        assert norms.max() < 1
    assert not torch.allclose(segmenter.head.points, start, atol=1e-2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_spares_the_class_points_alone(name):
    segmenter = small()
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    optimizer = build_optimizer(segmenter, Optimization(name, 1e-6, weight_decay=0.1))
    for parameter in segmenter.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = segmenter.state_dict()
    assert torch.equal(after["head.points"], before["head.points"])
    assert (after["head.normals"].abs() < before["head.normals"].abs()).all()
    assert (after["network.encoder.weight"].abs() < before["network.encoder.weight"].abs()).all()


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_the_head_learns_at_a_multiple_of_the_rate(head):
    segmenter = small(head)
    optimizer = build_optimizer(segmenter, Optimization("adam", 1e-3, head_lr_factor=7.0))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    trained = [p for p in segmenter.parameters() if p.requires_grad]
    assert set(rates) == {id(p) for p in trained}
    of_head = {id(p) for p in segmenter.head_parameters()}
    assert all(rates[id(p)] == (7e-3 if id(p) in of_head else 1e-3) for p in trained)


@pytest.mark.parametrize(("head", "groups"), [("linear", 1), ("hyperbolic", 2)])
def test_a_frozen_encoder_has_no_group(head, groups):
    frozen = Segmenter(EncoderOnly(), small(head).head, stride=1, freeze_encoder=True)
    found = build_optimizer(frozen, Optimization()).param_groups
    assert [group["name"] for group in found] == ["head", "points"][:groups]
    trained = {id(parameter) for group in found for parameter in group["params"]}
    assert trained == {id(p) for p in frozen.head.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_a_batch_of_noise_is_fitted(head, name):
    segmenter = small(head)
    optimizer = build_optimizer(segmenter, Optimization(name, 0.01))
    losses = []
    for _ in range(60):
        losses.append(loss := loss_of(segmenter))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.05


def test_riemannian_adam_is_adam_off_the_manifold():
    segmenter = small()
    optimizer = build_optimizer(
        segmenter, Optimization("adam", 0.01, head_lr_factor=1.0, weight_decay=0.1)
    )
    twin = segmenter.network.encoder.weight.detach().clone().requires_grad_()
    plain = torch.optim.Adam([twin], lr=0.01, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(segmenter).backward()
        twin.grad = segmenter.network.encoder.weight.grad.clone()
        optimizer.step()
        plain.step()
        torch.testing.assert_close(segmenter.network.encoder.weight.detach(), twin.detach())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_a_saved_state_continues_the_same_path(head, name, tmp_path):
    def train(segmenter, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(segmenter).backward()
            optimizer.step()

    first = small(head)
    optimizer = build_optimizer(first, Optimization(name, 0.01))
    train(first, optimizer, 3)
    state = {"model": first.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, tmp_path / "state.pt")
    train(first, optimizer, 3)

    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    second = small(head)
    second.load_state_dict(loaded["model"])
    resumed = build_optimizer(second, Optimization(name, 0.01))
    resumed.load_state_dict(loaded["optimizer"])
    train(second, resumed, 3)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lightning_steps_the_optimizer_with_its_closure(name, tmp_path):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.segmenter = small()

        def training_step(self, batch, batch_idx):
            return loss_of(self.segmenter)

        def configure_optimizers(self):
            return build_optimizer(self.segmenter, Optimization(name, 0.01))

    by_hand = small()
    optimizer = build_optimizer(by_hand, Optimization(name, 0.01))
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(by_hand).backward()
        optimizer.step()

    module = Module()
    quiet_trainer(tmp_path, 3).fit(module, torch.utils.data.DataLoader(range(3)))
    torch.testing.assert_close(module.segmenter.head.points.data, by_hand.head.points.data)
    torch.testing.assert_close(
        module.segmenter.network.encoder.weight, by_hand.network.encoder.weight
    )


def test_an_unknown_optimizer_lists_the_known():
    with pytest.raises(ConfigError, match="'adamw'; choose from adam, sgd"):
        build_optimizer(small(), Optimization("adamw", 0.1))

import pytest
import torch
from torch.nn import functional

from alseg.errors import ConfigError
from alseg.models import REWEIGHTINGS, HyperbolicHead, LinearHead
from alseg.models.hyperbolic import FeatureReweighting


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("reweighting", REWEIGHTINGS)
@pytest.mark.parametrize("curvature", [0.5, 1.0])
def test_head_gives_logits_and_a_radius_for_every_pixel(reweighting, curvature):
    head = HyperbolicHead(12, 7, dim=5, curvature=curvature, reweighting=reweighting)
    prediction = head(torch.randn(2, 12, 6, 9))
    assert prediction.logits.shape == (2, 7, 6, 9)
    assert prediction.radius.shape == (2, 6, 9)
    assert (prediction.radius >= 0).all()
    norms = head.eval().tangent(features := torch.randn(2, 12, 6, 9)).norm(dim=1)
    torch.testing.assert_close(head(features).radius, 2 * norms)


@pytest.mark.parametrize(("form", "ratio"), [("rms", 1.0), ("published", 0.5), ("none", 1.0)])
def test_only_the_published_radius_changes_with_the_resolution(form, ratio):
    head = HyperbolicHead(12, 7, dim=5, reweighting=form).eval()
    features = torch.randn(2, 12, 6, 8)
    small = head(features).radius
    large = head(functional.interpolate(features, scale_factor=2.0)).radius
    expected = ratio * functional.interpolate(small[None], scale_factor=2.0)[0]
    torch.testing.assert_close(large, expected, rtol=1e-4, atol=1e-5)


def test_radii_of_the_default_start_around_two():
    head = HyperbolicHead(32, 7, dim=64).train()
    for scale in (0.01, 1.0, 100.0):
        radius = head(scale * torch.randn(2, 32, 16, 16)).radius
        assert 0.8 < radius.mean() < 4
        assert radius.std() > 0.01


def test_published_reweighting_is_the_perceptron_pixel_by_pixel():
    module = FeatureReweighting(4, "published").eval()
    features = torch.randn(2, 4, 3, 5)
    first, norm, _ = module.hidden
    for image, result in zip(features, module(features), strict=True):
        outputs = []
        for pixel in image.flatten(1).T:
            hidden = first.weight[:, :, 0, 0] @ pixel
            hidden = (hidden - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            outputs.append(module.output.weight @ hidden.clamp(min=0) + module.output.bias)
        weights = torch.stack(outputs).mean(0).clamp(min=1e-5)
        for channel, weight, normalised in zip(image, weights, result, strict=True):
            torch.testing.assert_close(normalised, weight * channel / channel.norm())


def test_weights_do_not_fall_below_the_clamp():
    module = FeatureReweighting(4, "published").eval()
    torch.nn.init.constant_(module.output.weight, 0.0)
    torch.nn.init.constant_(module.output.bias, -3.0)
    features = torch.randn(1, 4, 3, 5)
    expected = 1e-5 * features / features.flatten(2).norm(dim=2)[:, :, None, None]
    torch.testing.assert_close(module(features), expected)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("reweighting", REWEIGHTINGS)
def test_bfloat16_autocast_gives_finite_float32_results(reweighting, scale):
    reduce = torch.nn.Conv2d(6, 12, 1)
    head = HyperbolicHead(12, 7, dim=5, reweighting=reweighting)
    images = (scale * torch.randn(2, 6, 6, 9)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = reduce(images)
        prediction = head(features)
        loss = functional.cross_entropy(prediction.logits, torch.zeros(2, 6, 9, dtype=torch.long))
        loss = loss + prediction.radius.mean()
    assert features.dtype == torch.bfloat16
    assert prediction.logits.dtype == prediction.radius.dtype == torch.float32
    loss.backward()
    assert loss.isfinite()
    trained = [p for p in head.parameters() if p.requires_grad]
    for tensor in [images, *trained, *reduce.parameters()]:
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("head", [HyperbolicHead(12, 7, dim=5), LinearHead(12, 7)])
def test_autocast_does_not_change_what_a_head_computes(head):
    features = torch.randn(2, 12, 6, 9)
    plain = head.eval()(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = head(features)
    assert torch.equal(inside.logits, plain.logits)
    assert inside.logits.dtype == torch.float32


def test_a_head_can_be_made_double():
    head = HyperbolicHead(12, 7, dim=5).double().eval()
    features = torch.randn(2, 12, 6, 9)
    prediction = head(features)
    assert prediction.logits.dtype == torch.float64
    torch.testing.assert_close(prediction.logits.float(), head.float()(features).logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dimension is 0; it must be at least 1"),
        ({"curvature": 0.0}, "curvature is 0.0; it must be a positive"),
        ({"curvature": float("nan")}, "positive"),
        ({"reweighting": "l2"}, "'l2'; choose from rms, published, none"),
    ],
)
def test_impossible_options_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        HyperbolicHead(12, 7, **options)

import pytest
import torch
from torch import nn
from torch.nn import functional

from alseg.errors import AlsegError, ConfigError
from alseg.models import (
    Network,
    Optimization,
    Prediction,
    Segmenter,
    build_optimizer,
    create_segmenter,
)
from alseg.models.segmenter import crop_to_cover

ARCHITECTURES = [
    ("DeepLabV3Plus", "mobilenet_v2", 4),
    ("deeplabv3", "resnet18", 8),
    ("unet", "resnet18", 1),
    ("fpn", "efficientnet-b0", 4),
    ("segformer", "mit_b0", 4),
    ("upernet", "mobilenet_v2", 4),
    ("pan", "resnet18", 4),
    ("pspnet", "resnet18", 8),
    ("deeplabv3plus", "tu-resnet18", 4),
    ("dpt", "tu-vit_tiny_patch16_224", 2),
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("architecture", "encoder", "stride"), ARCHITECTURES)
def test_predictions_of_any_size_cover_the_image(architecture, encoder, stride):
    segmenter = create_segmenter(
        Network(architecture, encoder, "none", head="hyperbolic"), 5
    ).eval()
    for height, width in [(97, 131), (60, 80), (1, 2)]:
        with torch.no_grad():
            prediction = segmenter(torch.randn(2, 3, height, width))
        shape = (-(-height // stride), -(-width // stride))
        assert prediction.logits.shape == (2, 5, *shape)
        assert prediction.radius.shape == (2, *shape)
        assert prediction.logits.isfinite().all()


VISION_TRANSFORMERS = [("tu-vit_small_patch14_dinov2", 14), ("tu-vit_small_patch16_dinov3", 16)]


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
@pytest.mark.parametrize(("encoder", "patch"), VISION_TRANSFORMERS)
def test_dpt_decodes_patches_of_14_and_16_pixels_to_eight_cells_each(encoder, patch, head):
    segmenter = create_segmenter(Network("dpt", encoder, "none", head=head), 3).eval()
    for height, width in [(90, 130), (29, 56)]:
        with torch.no_grad():
            logits = segmenter(torch.randn(1, 3, height, width)).logits
        assert logits.shape == (1, 3, -(-height * 8 // patch), -(-width * 8 // patch))
        assert logits.isfinite().all()


@pytest.mark.parametrize(("encoder", "patch"), VISION_TRANSFORMERS)
def test_a_vision_transformer_is_padded_to_an_even_number_of_patches_by_repeating_pixels(
    encoder, patch
):
    segmenter = create_segmenter(Network("dpt", encoder, "none"), 3).eval()
    image = torch.randn(1, 3, 2 * patch + 1, 4 * patch)
    last = image[:, :, -1:].expand(-1, -1, 2 * patch - 1, -1)
    with torch.no_grad():
        whole = segmenter(torch.cat([image, last], dim=2)).features
        cells = whole.shape[2]
        found = segmenter(image).features
    assert cells == 4 * 8
    assert found.shape[-2:] == (17, 32)
    # The border between the two patches above and those below is the only one that both grids have.
    centres = (torch.arange(17) + 0.5) * (2 * patch + 1) / 17 / patch * 8 - 0.5
    below = centres.clamp(min=0).floor().long()
    share = (centres.clamp(min=0) - below)[:, None]
    expected = whole[:, :, below] * (1 - share) + whole[:, :, below + 1] * share
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [4, 14 / 8])
@pytest.mark.parametrize("size", [(97, 131), (96, 128), (100, 133), (64, 33), (360, 480)])
def test_cropped_maps_lie_where_the_image_is(size, stride):
    multiple = 32 if stride == 4 else 28
    padded = tuple(-(-n // multiple) * multiple for n in size)
    rows, columns = (torch.arange(n / stride) * stride + (stride - 1) / 2 for n in padded)
    maps = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    cropped = crop_to_cover(maps, size, padded)[0]
    for axis, length in enumerate(size):
        cells = cropped.shape[1 + axis]
        assert cells == -(-length // stride)
        centres = (torch.arange(cells) + 0.5) * length / cells - 0.5
        found = cropped[axis].select(1 - axis, 0)
        # The first centre may lie outside the centres of the given cells: it is the border's.
        torch.testing.assert_close(found[1:], centres[1:], rtol=1e-5, atol=1e-3)
        assert abs(found[0] - centres[0]) < 0.5 / cells * stride


@pytest.mark.parametrize(
    ("network", "stride", "margin"),
    [
        (nn.AvgPool2d(4), 32, 8),
        (nn.Sequential(nn.AvgPool2d(14), nn.Upsample(scale_factor=8, mode="bilinear")), 28, 28),
    ],
    ids=["blocks of 4", "patches of 14"],
)
@pytest.mark.parametrize("size", [(97, 131), (90, 122), (96, 160)])
def test_resized_predictions_are_in_place(size, network, stride, margin):
    """A network that only averages blocks gives a smooth image back, without a shift."""

    class AsLogits(nn.Module):
        def forward(self, features):
            return Prediction(features)

    segmenter = Segmenter(network, AsLogits(), stride)
    rows, columns = (torch.arange(n, dtype=torch.float32) for n in size)
    image = torch.stack([*torch.meshgrid(rows, columns, indexing="ij"), torch.zeros(size)])[None]
    resized = functional.interpolate(
        segmenter(image).logits, size=size, mode="bilinear", align_corners=False
    )
    inside = (..., slice(margin, -margin), slice(margin, -margin))
    torch.testing.assert_close(resized[inside], image[inside], rtol=0, atol=1e-3)


def test_a_size_that_needs_no_padding_changes_nothing():
    segmenter = create_segmenter(Network("deeplabv3plus", "mobilenet_v2", "none"), 5).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = segmenter.network.decoder(segmenter.network.encoder(images))
        expected = segmenter.head(features).logits
        assert torch.equal(segmenter(images).logits, expected)
    assert segmenter(images).radius is None


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_parameters_are_split_between_encoder_and_head(head):
    segmenter = create_segmenter(Network("fpn", "resnet18", "none", head=head), 5)
    encoder = {id(p) for p in segmenter.network.encoder.parameters()}
    assert encoder == {id(p) for p in segmenter.encoder_parameters()}
    of_head = {id(p) for p in segmenter.head_parameters()}
    assert not encoder & of_head
    assert encoder | of_head == {id(p) for p in segmenter.parameters()}


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_one_batch_is_learnt(head):
    segmenter = create_segmenter(Network("deeplabv3plus", "mobilenet_v2", "none", head=head), 3)
    optimizer = build_optimizer(segmenter, Optimization("adam", 3e-3))
    labels = torch.randint(0, 3, (2, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    losses = []
    for _ in range(12):
        logits = functional.interpolate(segmenter(images).logits, size=labels.shape[1:])
        losses.append(loss := functional.cross_entropy(logits, labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_bfloat16_autocast_trains_without_nan(head):
    segmenter = create_segmenter(Network("deeplabv3plus", "mobilenet_v2", "none", head=head), 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = segmenter(torch.randn(2, 3, 50, 70))
        loss = functional.cross_entropy(prediction.logits, torch.zeros(2, 13, 18).long())
    assert prediction.logits.dtype == torch.float32
    loss.backward()
    gradients = [p.grad for p in segmenter.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
def test_a_checkpoint_restores_the_predictions(head, tmp_path):
    first, second = (
        create_segmenter(Network("fpn", "resnet18", "none", head=head), 4).eval() for _ in range(2)
    )
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(first(images).logits, second(images).logits)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Network("deeplabv3+", "resnet18", "none"), 5), "Did you mean 'deeplabv3"),
        (
            (Network("unet", "resnet19", "none"), 5),
            r"encoder 'resnet19'. Did you mean 'resnet1\d'.*densenet121",
        ),
        ((Network("unet", "tu-resnet19", "none"), 5), r"Did you mean 'tu-resnet1"),
        ((Network("linknet", "mit_b0", "none"), 5), "cannot build linknet on mit_b0"),
        ((Network("unet", "resnet18", "none"), 1), "at least 2 classes and got 1"),
        ((Network("unet", "resnet18", "none", head="hyperbolc"), 5), "Did you mean 'hyperbolic'"),
    ],
)
def test_what_cannot_be_built_is_an_error_of_ours(arguments, message):
    with pytest.raises(ConfigError, match=message) as raised:
        create_segmenter(*arguments)
    assert isinstance(raised.value, AlsegError)

"""An encoder-decoder of segmentation-models-pytorch with a head of ours."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import Tensor, nn
from torch.nn import functional

from alseg.errors import ConfigError, WeightsError, did_you_mean
from alseg.models.hyperbolic import HyperbolicHead
from alseg.models.linear import LinearHead
from alseg.models.prediction import Prediction
from alseg.models.weights import load_encoder_file, named_weights, require_download

HEADS = ("linear", "hyperbolic")
DECODER_STRIDES = {"dpt": 32, "pan": 128}
"""Decoders that halve the encoder's last features further, and to what, where the encoder's stride
is a power of two."""
MOST_LISTED = 100


@dataclass(frozen=True)
class Network:
    """Which network is trained.

    Attributes:
        architecture: Name of the decoder in segmentation-models-pytorch, in any case.
        encoder: Name of the encoder there, or ``tu-NAME`` for timm's.
        encoder_weights: ``imagenet`` (or another name that smp knows for this encoder), ``none``
            or the path of a state dict.
        freeze_encoder: Whether the encoder stays as it starts.
        in_channels: How many channels images have. Pretrained weights for three are used again and
            again for more, and scaled to the same sum; for one channel they are summed.
        head: ``linear`` or ``hyperbolic``.
        hyperbolic_dim: Dimension of the ball, for the hyperbolic head.
        curvature: c > 0 of the ball of radius 1/√c, for the hyperbolic head.
        reweighting: How the hyperbolic head weighs its channels: ``rms``, ``published`` or
            ``none``.
    """

    architecture: str = "deeplabv3plus"
    encoder: str = "mobilenet_v2"
    encoder_weights: str = "imagenet"
    freeze_encoder: bool = False
    in_channels: int = 3
    head: str = "linear"
    hyperbolic_dim: int = 64
    curvature: float = 1.0
    reweighting: str = "rms"


class Segmenter(nn.Module):
    """A network that maps images to features, and a head that maps features to a prediction.

    Images of any size are accepted: they are padded at the right and the bottom, by repeating
    the last pixels, to what encoder and decoder can divide, and the features are cut to the part
    that the image covers before the head sees them.

    Args:
        network: Maps B×C×H×W, H and W multiples of ``stride``, to B×D×h×w features.
        head: Maps the features to a :class:`Prediction`.
        stride: The multiple in pixels.
        freeze_encoder: Whether the encoder stays as it is: its parameters take no gradient, and it
            is in evaluation mode even in training, so that the statistics of its batch norm stay.
        in_channels: How many channels C images have.
    """

    def __init__(
        self,
        network: nn.Module,
        head: LinearHead | HyperbolicHead,
        stride: int,
        freeze_encoder: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.stride = stride
        self.in_channels = in_channels
        self.freeze_encoder = freeze_encoder
        if freeze_encoder:
            self.encoder.requires_grad_(False)
            self.train()

    @property
    def encoder(self) -> nn.Module:
        """The encoder of the network."""
        return cast(nn.Module, self.network.encoder)

    def train(self, mode: bool = True) -> Segmenter:
        """Put all but a frozen encoder into training mode, or all into evaluation mode."""
        super().train(mode)
        if self.freeze_encoder:
            self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Prediction:
        """Return the prediction of B×C×H×W normalised images, at the decoder's resolution."""
        height, width = images.shape[-2:]
        below, right = -height % self.stride, -width % self.stride
        padded = functional.pad(images, (0, right, 0, below), mode="replicate")
        features = self.network(padded)
        covering = crop_to_cover(features, (height, width), (height + below, width + right))
        return cast(Prediction, self.head(covering))._replace(features=covering)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters of the encoder, which may start from pretrained weights."""
        return self.encoder.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters of decoder and head, which start from random weights."""
        encoder = {id(parameter) for parameter in self.encoder_parameters()}
        return (parameter for parameter in self.parameters() if id(parameter) not in encoder)


def crop_to_cover(maps: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """Return the maps of an image from those of the image with padding below and to the right.

    Where the image ends between two cells, as 131 pixels do at a stride of 4, the cells are
    interpolated bilinearly: slicing would leave maps that cover more than the image and so lie
    askew, by up to a stride, when they are resized to it.

    Args:
        maps: B×D×h×w, over the padded image.
        size: Height and width of the image in pixels.
        padded: Height and width of the padded image in pixels.

    Returns:
        B×D×h'×w', over the image, with cells that are at most as large as those of ``maps``.
    """
    covered = [cells * part for cells, part in zip(maps.shape[-2:], size, strict=True)]
    height, width = (-(-c // full) for c, full in zip(covered, padded, strict=True))
    if all(c % full == 0 for c, full in zip(covered, padded, strict=True)):
        return maps[..., :height, :width]
    # bfloat16 has too few digits for the position of a cell.
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    down, across = (part / full for part, full in zip(size, padded, strict=True))
    corner = maps.new_tensor([[across, 0.0, across - 1.0], [0.0, down, down - 1.0]])
    shape = [len(maps), 1, height, width]
    with torch.autocast(maps.device.type, enabled=False):
        grid = functional.affine_grid(corner.expand(len(maps), 2, 3), shape, align_corners=False)
        return functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def create_segmenter(network: Network, num_classes: int) -> Segmenter:
    """Build a segmenter and load its encoder's weights.

    Args:
        network: What to build.
        num_classes: Number of classes C.

    Raises:
        ConfigError: A name is unknown, or the parts do not go together.
        WeightsError: The weights cannot be found, downloaded or fitted to the encoder.
    """
    architecture, encoder = network.architecture.lower(), network.encoder
    _check_name("architecture", architecture, smp.MODEL_ARCHITECTURES_MAPPING)
    _check_name("encoder", encoder, _encoders(encoder))
    _check_name("head", network.head, HEADS)
    if num_classes < 2:
        raise ConfigError(f"A segmenter needs at least 2 classes and got {num_classes}.")
    model = _create_network(architecture, network)
    stride = _stride(architecture, model.encoder.output_stride)
    channels = _split_off_head(model)
    head: nn.Module
    if network.head == "linear":
        head = LinearHead(channels, num_classes)
    else:
        head = HyperbolicHead(
            channels, num_classes, network.hyperbolic_dim, network.curvature, network.reweighting
        )
    return Segmenter(model, head, stride, network.freeze_encoder, network.in_channels)


def _create_network(architecture: str, described: Network) -> smp.base.SegmentationModel:
    encoder, weights = described.encoder, described.encoder_weights
    path = Path(weights).expanduser()
    named = weights in named_weights(encoder)
    if named:
        require_download(encoder, weights)
    elif weights != "none" and not path.is_file():
        choices = ", ".join([*named_weights(encoder), "none"])
        raise WeightsError(
            f"No encoder weights {weights!r}: {encoder} has {choices}, and there is no such file. "
            "Give one of these names or the path of a state dict."
        )
    # timm's encoders carry the name of their weights in their own; smp asks for a mere True.
    choice = True if encoder.startswith("tu-") else weights
    # timm's vision transformers take images of one size unless they are told otherwise.
    options = {"dynamic_img_size": True} if architecture == "dpt" else {}
    try:
        network = smp.create_model(
            architecture,
            encoder,
            encoder_weights=choice if named else None,
            in_channels=described.in_channels,
            **options,
        )
    except (KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise ConfigError(
            f"smp cannot build {architecture} on {encoder}: {error}. Choose another pair, such as "
            "deeplabv3plus on resnet50."
        ) from error
    except Exception as error:
        if not named:
            raise
        raise WeightsError(
            f"The weights {weights!r} of {encoder} could not be loaded: {error}. Use "
            "--encoder-weights PATH with a file that you have, or --encoder-weights none."
        ) from error
    if architecture == "dpt":
        _fit_to_patches(network)
    if weights != "none" and not named:
        load_encoder_file(network.encoder, path, encoder)
    return network


def _fit_to_patches(network: smp.base.SegmentationModel) -> None:
    """Make a DPT train on several processes, and on patches of any size.

    The norm and the classifier behind the last features get no gradient, which DDP does not allow.
    smp makes the factors of its decoder (4, 2, 1 and 1/2 for patches of 16 pixels) from the size
    of the patches and rounds them, so that those of 14 pixels give maps that cannot be added; they
    are decoded like those of 16, as by Depth Anything.
    """
    encoder = network.encoder
    encoder.model.prune_intermediate_layers(prune_norm=True, prune_head=True)
    usual = [_power_of_two(stride) for stride in encoder.output_strides]
    if usual != list(encoder.output_strides):
        network.decoder = DPTDecoder(encoder.out_channels, usual, encoder.has_prefix_tokens)
        network.initialize()


def _stride(architecture: str, encoder: int) -> int:
    """Return what sizes must be multiples of, for an encoder of some stride in pixels."""
    usual = _power_of_two(encoder)
    cells = math.lcm(usual, DECODER_STRIDES.get(architecture, 1)) // usual
    return encoder * cells


def _power_of_two(length: int) -> int:
    """Return the power of two that is nearest to a length by its ratio."""
    return 1 << round(math.log2(length))


def _split_off_head(network: smp.base.SegmentationModel) -> int:
    """Make the network return its decoder's features and return how many channels they have."""
    convolutions = (m for m in network.segmentation_head.modules() if isinstance(m, nn.Conv2d))
    channels = next(convolutions).in_channels
    network.segmentation_head = nn.Identity()
    return channels


def _encoders(encoder: str) -> list[str]:
    if encoder.startswith("tu-"):
        names = [f"tu-{name}" for name in timm.list_models()]
        return [*names, encoder] if timm.is_model(encoder.removeprefix("tu-")) else names
    return list(get_encoder_names())


def _check_name(kind: str, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    names = sorted(known)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    listed = ", ".join(names[:MOST_LISTED])
    raise ConfigError(
        f"Unknown {kind} {name!r}.{did_you_mean(name, known)} Known are: {listed}{more}."
    )

"""Where an encoder's weights come from: a download that may be impossible, or a file."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from segmentation_models_pytorch.encoders import encoders
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from alseg.errors import WeightsError

CLASSIFIERS = {"_fc", "aux_logits", "classifier", "fc", "head", "last_linear"}
"""Modules of a classification network that a segmentation encoder has no use for."""

POSITIONS = "pos_embed"
"""timm's name for the position embeddings of a vision transformer, 1×N×D: the tokens of the patches
row by row, in most networks behind those of the prefix."""

logger = logging.getLogger(__name__)


def named_weights(encoder: str) -> list[str]:
    """Return the names of the weights that smp can download for an encoder."""
    if encoder.startswith("tu-"):
        pretrained = timm.models.is_model_pretrained(encoder.removeprefix("tu-"))
        return ["imagenet"] if pretrained else []
    return list(encoders[encoder]["pretrained_settings"])


def require_download(encoder: str, name: str) -> None:
    """Make sure that the hub answers, unless the weights are in its cache.

    One request without retries: the downloader itself tries for most of a minute.

    Raises:
        WeightsError: The weights are neither cached nor to be had.
    """
    if encoder.startswith("tu-"):
        config = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-"))
        repository, revision = getattr(config, "hf_hub_id", None), None
    else:
        settings = encoders[encoder]["pretrained_settings"][name]
        repository, revision = settings.get("repo_id"), settings.get("revision")
    if repository is None or _cached(repository, revision):
        return
    hub = huggingface_hub.constants.ENDPOINT
    try:
        huggingface_hub.get_session().head(hub, timeout=10)
    except Exception as error:
        raise WeightsError(
            f"The weights {name!r} of {encoder} are not on this machine, and {hub}, where they "
            f"are published, does not answer ({error}). Use --encoder-weights PATH with a file "
            "that you have, --encoder-weights none to start from random weights, or run again "
            "with a network connection."
        ) from error


def _cached(repository: str, revision: str | None) -> bool:
    files = ("model.safetensors", "pytorch_model.bin")
    return any(
        isinstance(huggingface_hub.try_to_load_from_cache(repository, file, revision=revision), str)
        for file in files
    )


def load_encoder_file(encoder: nn.Module, path: Path, name: str) -> int:
    """Load an encoder's weights from a state dict in a file.

    The keys are those of torchvision, of timm or of smp's encoder, all with the same prefix or
    none (``encoder.``, ``module.``, ...). The tensors are of any float type. What lies outside the
    prefix and the classifier of a classification network are passed over. The position embeddings
    of a vision transformer are resampled, as timm does, where they are of another square grid.
    Filters of three channels are adapted, as smp does, to an encoder that takes other images.

    Args:
        encoder: What to load them into.
        path: The file, as written by ``torch.save`` or, if it ends in ``.safetensors``, by
            safetensors.
        name: The encoder's name, for messages.

    Returns:
        The number of tensors taken.

    Raises:
        WeightsError: The file is no state dict, lacks some of the encoder's tensors or has them
            in another shape, or holds so many others that it must be another network's.
    """
    found = _read_state_dict(path)
    own: dict[str, Tensor] = dict(encoder.state_dict())
    # smp keeps a timm model under this name, which timm's own files do not have.
    wrapper = "model." if all(key.startswith("model.") for key in own) else ""
    own = {key.removeprefix(wrapper): value for key, value in own.items()}
    prefix = _common_prefix(found, own)
    found = {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
    if POSITIONS in found and POSITIONS in own:
        found[POSITIONS] = _resampled(found[POSITIONS], own[POSITIONS], encoder)
    found = {key: _of_channels(value, own.get(key)) for key, value in found.items()}

    matched = {k: v for k, v in found.items() if k in own and _fits(v, own[k])}
    misfits = [k for k in found if k in own and k not in matched]
    missing = [k for k in own if k not in found and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in found if k not in own and k.split(".")[0] not in CLASSIFIERS]
    if misfits or missing or len(unexpected) > len(own) // 10:
        raise WeightsError(
            f"{path} does not fit the encoder {name}: of the encoder's {len(own)} tensors, "
            f"{len(matched)} fit, {len(misfits)} have another shape or type{_examples(misfits)} "
            f"and {len(missing)} are missing{_examples(missing)}; {len(unexpected)} others were "
            f"not expected{_examples(unexpected)}. Give the weights of a {name}, with keys as in "
            "torchvision, timm or segmentation-models-pytorch, or --encoder-weights none."
        )
    encoder.load_state_dict({wrapper + key: value for key, value in {**own, **matched}.items()})
    logger.info("Took %d of the encoder's %d tensors from %s.", len(matched), len(own), path)
    return len(matched)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a file of safetensors ({error}). Copy it again, or save the network's "
            "state_dict() by torch.save under a name that ends in .pth."
        ) from error
    except OSError as error:
        raise WeightsError(
            f"The encoder weights {path} cannot be read: {error.strerror}."
        ) from error
    # Fed with what it did not write, torch.load fails in any way, an IndexError among them.
    except Exception as error:
        raise WeightsError(
            f"{path} is not a file of tensors alone that torch.save wrote. Save the network's "
            "state_dict() and nothing else."
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a state dict.")
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def _common_prefix(found: Collection[str], own: Collection[str]) -> str:
    """Return what most often stands before one of the encoder's own keys."""
    prefixes = Counter[str]()
    for key in found:
        parts = key.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in own:
                prefixes[".".join([*parts[:start], ""]) if start else ""] += 1
    return prefixes.most_common(1)[0][0] if prefixes else ""


def _resampled(positions: Tensor, own: Tensor, encoder: Any) -> Tensor:
    """Return position embeddings on the encoder's grid of patches; those of no square as given."""
    grid = encoder.model.patch_embed.grid_size
    prefix = own.shape[1] - math.prod(grid)
    tokens = positions.shape[1] - prefix if positions.dim() == 3 else 0
    if positions.shape == own.shape or tokens < 1 or math.isqrt(tokens) ** 2 != tokens:
        return positions
    resampled: Tensor = resample_abs_pos_embed(positions, list(grid), num_prefix_tokens=prefix)
    return resampled


def _of_channels(filters: Tensor, own: Tensor | None) -> Tensor:
    """Return filters O×3×k×k for an encoder's own of O×C×k×k; all others as given."""
    if own is None or not (own.dim() == filters.dim() == 4 and filters.is_floating_point()):
        return filters
    channels, given = own.shape[1], filters.shape[1]
    if given != 3 or channels == 3 or own[:, 0].shape != filters[:, 0].shape:
        return filters
    if channels == 1:
        return filters.sum(1, keepdim=True)
    return filters[:, torch.arange(channels) % 3] * (3 / channels)


def _fits(tensor: Tensor, own: Tensor) -> bool:
    return tensor.shape == own.shape and tensor.is_floating_point() == own.is_floating_point()


def _examples(keys: list[str]) -> str:
    return f" ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" if keys else ""

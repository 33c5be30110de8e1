"""The score maps of the pool, and what a strategy may return: some come from other people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from lightning.pytorch.plugins import Precision
from torch import Tensor, distributed
from tqdm import tqdm

from alseg.active.choosing import Scored
from alseg.active.request import RoundRequest
from alseg.distributed import interruption
from alseg.errors import ScoreError
from alseg.training.modes import evaluating
from alseg.training.module import SegmentationModule
from alseg_strategies import Signals, Strategy


def score_map(score: object, strategy: str, image_id: str, size: tuple[int, int]) -> Tensor:
    """Return the score map H×W of the one image that a strategy was shown.

    Args:
        score: What the strategy returned.
        strategy: The name of the strategy.
        image_id: The name of the image.
        size: Height and width of the image.

    Raises:
        ScoreError: It is not a floating-point tensor 1×H×W, or has NaN values.
    """
    shape = (1, *size)
    if not isinstance(score, Tensor):
        got = "None" if score is None else f"a {type(score).__module__}.{type(score).__qualname__}"
    elif not score.is_floating_point() or tuple(score.shape) != shape:
        got = f"a tensor {score.dtype} of the shape {tuple(score.shape)}"
    # The one look at the values: on an accelerator it waits until the score is there.
    elif score.isnan().any():
        got = f"{int(score.isnan().sum()):,} NaN among {score.numel():,} values"
    else:
        return score[0]
    raise ScoreError(
        f"The strategy {strategy} returned {got} as the score of {image_id}. Allowed is a "
        f"floating-point tensor B,H,W with no NaN, of this image {shape}. Correct the strategy, "
        "or use another."
    )


@torch.no_grad()
def score_pool(
    module: SegmentationModule,
    loader: Iterable[dict[str, Any]],
    ids: Sequence[str],
    strategy: Strategy,
    request: RoundRequest,
    title: str | None = None,
    precision: Precision | None = None,
) -> Iterator[Scored]:
    """Yield the scored pool images of this rank.

    Args:
        module: The network.
        loader: What loads the pool images of this rank.
        ids: The names of all pool images.
        strategy: What scores.
        request: What the round asks for; what the strategy draws follows from its seed, its number
            and the image.
        title: What a progress bar says; None shows none.
        precision: What the network computes in, as a trainer has it; None is that of its weights.

    Raises:
        ScoreError: The strategy returned something that pixels cannot be ranked by.
    """
    bar = tqdm(loader, desc=title, unit="image", leave=False, disable=title is None)
    with evaluating(module):
        for index, signals in signals_of(module, bar, ids, strategy.requires, precision):
            drawn = np.random.SeedSequence([request.seed, request.number, index]).generate_state(1)
            generator = torch.Generator().manual_seed(int(drawn[0]))
            size = (signals.logits.shape[-2], signals.logits.shape[-1])
            score = strategy.score(signals, generator)
            yield Scored(
                index, score_map(score, request.strategy, ids[index], size), signals.logits[0]
            )


@torch.no_grad()
def signals_of(
    module: SegmentationModule,
    loader: Iterable[dict[str, Any]],
    ids: Sequence[str],
    wanted: Collection[str],
    precision: Precision | None = None,
    resized: bool = True,
) -> Iterator[tuple[int, Signals]]:
    """Yield index and signals of every image of this rank.

    Args:
        module: The network, in evaluation mode.
        loader: What loads the images of this rank.
        ids: The names of all images.
        wanted: The names of the signals.
        precision: What the network computes in, as a trainer has it; None is that of its weights.
        resized: Whether maps have the size of the image, or the network's own resolution.
    """
    for batch in loader:
        interruption.check()
        for index, image, size in zip(batch["index"], batch["image"], batch["size"], strict=True):
            shown = image[None] if precision is None else precision.convert_input(image[None])
            with nullcontext() if precision is None else precision.forward_context():
                signals = module.signals(
                    shown.to(module.device), size if resized else None, [ids[index]], wanted
                )
            yield index, signals


def share_buffers(module: SegmentationModule) -> None:
    """Give every rank the batch-norm statistics of the first: only its own are in a checkpoint."""
    if distributed.is_available() and distributed.is_initialized():
        for buffer in module.segmenter.buffers():
            distributed.broadcast(buffer, src=0)

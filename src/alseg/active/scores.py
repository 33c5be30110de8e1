"""The score maps of the pool, and what a strategy may return: some come from other people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from alseg.active.choosing import Scored
from alseg.active.request import RoundRequest
from alseg.active.requirements import size_of
from alseg.active.signals import SignalSource, signals_of
from alseg.data.base import Pool
from alseg.errors import ScoreError
from alseg.labels.region_shape import Size
from alseg.training.modes import evaluating
from alseg_strategies import Strategy
from alseg_strategies.strategy import BY_IMAGE


def score_map(score: object, strategy: Strategy, name: str, image_id: str, size: Size) -> Tensor:
    """Return the score map H×W of the one image that a strategy was shown.

    The score of an image as a whole is the score of each of its pixels.

    Args:
        score: What the strategy returned.
        strategy: The strategy.
        name: What to call it.
        image_id: The name of the image.
        size: Height and width of the image.

    Raises:
        ScoreError: It is not a floating-point tensor, 1×H×W or 1 as the strategy's level has it,
            or has NaN values.
    """
    by_image = strategy.level in BY_IMAGE
    shape = (1,) if by_image else (1, *size)
    if not isinstance(score, Tensor):
        got = "None" if score is None else f"a {type(score).__module__}.{type(score).__qualname__}"
    elif not score.is_floating_point() or tuple(score.shape) != shape:
        got = f"a tensor {score.dtype} of the shape {tuple(score.shape)}"
    # The one look at the values: on an accelerator it waits until the score is there.
    elif score.isnan().any():
        got = f"{int(score.isnan().sum()):,} NaN among {score.numel():,} values"
    else:
        return score[0].expand(size)
    raise ScoreError(
        f"The strategy {name} returned {got} as the score of {image_id}. Its level is "
        f"{strategy.level!r}: allowed is a floating-point tensor {'B' if by_image else 'B,H,W'} "
        f"with no NaN, of this image {shape}. Correct the strategy, or use another."
    )


@torch.no_grad()
def score_pool(
    source: SignalSource,
    loader: Iterable[Mapping[str, Any]],
    pool: Pool,
    strategy: Strategy,
    request: RoundRequest,
    title: str | None = None,
) -> Iterator[Scored]:
    """Yield the scored pool images of this rank.

    Args:
        source: Shows what the network makes of images.
        loader: What loads the pool images of this rank.
        pool: All pool images.
        strategy: What scores.
        request: What the round asks for; what the strategy draws follows from its seed, its number
            and the image.
        title: What a progress bar says; None shows none.

    Raises:
        ScoreError: The strategy failed, or returned something that pixels cannot be ranked by.
        SignalError: The network returned something that does not fit.
    """
    bar = tqdm(loader, desc=title, unit="image", leave=False, disable=title is None)
    with evaluating(source.module):
        for index, signals in signals_of(source, bar, pool, strategy.requires):
            drawn = np.random.SeedSequence([request.seed, request.number, index]).generate_state(1)
            generator = torch.Generator().manual_seed(int(drawn[0]))
            try:
                score = strategy.score(signals, generator)
            except (AttributeError, TypeError) as error:
                raise ScoreError(
                    f"The strategy {request.strategy} failed when it scored {pool.ids[index]}: "
                    f"{type(error).__name__}: {error}. It is shown the signals that it names in "
                    f"`requires`, {', '.join(sorted(strategy.requires))}; others are None. "
                    "ALSEG_DEBUG=1 shows where it failed."
                ) from error
            mapped = score_map(
                score,
                strategy,
                request.strategy,
                pool.ids[index],
                size_of(pool, index),
            )
            yield Scored(index, mapped, signals.logits[0])

"""What a strategy may return: strategies come from other people, too."""

from __future__ import annotations

from torch import Tensor

from alseg.errors import ScoreError


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

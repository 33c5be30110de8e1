"""Statistics of the square window around each pixel, clipped at the border of the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def window_sum(x: Tensor, radius: int) -> Tensor:
    """Sum over the (2 radius + 1)² window around each pixel, clipped at the border.

    The sums double their length step by step: 1, 2, 4, ... pixels. That takes 4 additions a pixel
    at radius 1, 12 at radius 16 and 16 at radius 64, which is as fast as running sums or faster.
    Unlike these it never subtracts, so that a window of small values beside large ones keeps its
    digits without float64, and it is deterministic on every device.

    Args:
        x: [..., H, W]. Integers and booleans are summed exactly, in int64 as `torch.sum` does;
            half precision is summed in float32.
        radius: Window radius in pixels, 0 or more; may exceed the image.

    Returns:
        [..., H, W].

    Raises:
        ValueError: The radius is negative.
    """
    if x.is_floating_point():
        x = x.to(torch.promote_types(x.dtype, torch.float32))
    else:
        x = x.to(torch.int64)
    return _axis_sum(_axis_sum(x, radius, -1), radius, -2)


def window_count(height: int, width: int, radius: int) -> Tensor:
    """Number of pixels in the clipped window around each pixel: [H, W], int64."""
    rows, columns = (
        _axis_sum(torch.ones(size, dtype=torch.int64), radius, -1) for size in (height, width)
    )
    return rows[:, None] * columns


def window_mean(x: Tensor, radius: int) -> Tensor:
    """Mean over the (2 radius + 1)² window around each pixel of [..., H, W], clipped."""
    sums = window_sum(x, radius)
    height, width = x.shape[-2:]
    counts = window_count(height, width, radius).to(x.device)
    return sums / counts.to(torch.promote_types(sums.dtype, torch.float32))


def window_variance(x: Tensor, radius: int) -> Tensor:
    """Variance over the (2 radius + 1)² window around each pixel of [..., H, W], clipped.

    E[d²] - E[d]² of the distance d from the middle of each map's range, in float64 where the
    device has it: a smooth map varies by much less in a window than over the image. A constant
    map gives exactly 0.
    """
    wide = x.to(torch.float32 if x.device.type == "mps" else torch.float64)
    middle = (wide.amin((-2, -1), keepdim=True) + wide.amax((-2, -1), keepdim=True)) / 2
    distance = wide - middle
    mean = window_mean(distance, radius)
    variance = (window_mean(distance.square(), radius) - mean.square()).clamp(min=0)
    return variance.to(torch.promote_types(x.dtype, torch.float32))


def window_entropy(classes: Tensor, num_classes: int, radius: int) -> Tensor:
    """Entropy of the class histogram in the window around each pixel.

    With n_c of the n pixels of the clipped window in class c, this is log n - Σ n_c log n_c / n.

    Args:
        classes: [..., H, W] integers in [0, num_classes).
        num_classes: Number of classes.
        radius: Window radius in pixels.

    Returns:
        [..., H, W] float32, in nats, between 0 and log(num_classes).
    """
    height, width = classes.shape[-2:]
    pixels = window_count(height, width, radius).to(classes.device, torch.float32)
    across = min(2 * radius + 1, width)
    largest = across * min(2 * radius + 1, height)
    total = torch.zeros(classes.shape, dtype=torch.float32, device=classes.device)
    for index in range(num_classes):
        in_row = _axis_sum((classes == index).to(_counter(across)), radius, -1)
        counts = _axis_sum(in_row.to(_counter(largest)), radius, -2).to(torch.float32)
        total += counts.clamp(min=1).log_().mul_(counts)
    return total.div_(pixels).neg_().add_(pixels.log()).clamp_(min=0)


def _counter(largest: int) -> torch.dtype:
    """The narrowest integer type that holds a count: these additions are bound by memory."""
    types = (torch.uint8, torch.int16, torch.int32)
    return next(dtype for dtype in types if largest <= torch.iinfo(dtype).max)


def _axis_sum(x: Tensor, radius: int, axis: int) -> Tensor:
    """Sums along one axis, in the type of `x`, which must hold the largest of them."""
    if radius < 0:
        raise ValueError(f"the window radius is {radius}; it must be 0 or more")
    size = x.shape[axis]
    radius = min(radius, max(size - 1, 0))
    width = 2 * radius + 1
    block = pad(x, (radius, radius) if axis == -1 else (0, 0, radius, radius))
    # block[i] is the sum of the `length` padded pixels from i on; the binary digits of the width
    # say which of these sums follow one another in a window.
    total = block.narrow(axis, 0, size)
    length, covered = 1, 1
    while 2 * length <= width:
        starts = block.shape[axis] - length
        block = block.narrow(axis, 0, starts) + block.narrow(axis, length, starts)
        length *= 2
        if width & length:
            total = total + block.narrow(axis, covered, size)
            covered += length
    return total

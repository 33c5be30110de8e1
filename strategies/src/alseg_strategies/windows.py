"""Statistics of the square window around each pixel, clipped at the border of the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

# Pixels handled at once on a processor, so that the counts of a class stay in its cache.
_BAND = 2**19
# Classes handled at once on an accelerator, where starting a kernel costs more than running it.
_CLASSES_AT_ONCE = 8


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
    rows, columns = (_axis_count(size, radius) for size in (height, width))
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


def window_minimum(x: Tensor, radius: int) -> Tensor:
    """Minimum over the (2 radius + 1)² window around each pixel of [..., H, W] int32, clipped.

    Two windows of a power of two, which may overlap, cover a longer one: 4 comparisons a pixel at
    radius 1, 10 at radius 8 and 12 at radius 16.
    """
    nothing = torch.iinfo(x.dtype).max
    for axis in (-1, -2):
        size = x.shape[axis]
        reach = min(radius, max(size - 1, 0))
        width, length = 2 * reach + 1, 1
        x = pad(x, (reach, reach) if axis == -1 else (0, 0, reach, reach), value=nothing)
        while 2 * length <= width:
            starts = x.shape[axis] - length
            x = torch.minimum(x.narrow(axis, 0, starts), x.narrow(axis, length, starts))
            length *= 2
        x = torch.minimum(x.narrow(axis, 0, size), x.narrow(axis, width - length, size))
    return x


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
    in_column, in_row = (
        _axis_count(size, radius).to(classes.device, torch.float32) for size in (height, width)
    )
    down, across = (min(radius, max(size - 1, 0)) for size in (height, width))
    column = _narrowest(2 * down + 1)
    window = _narrowest((2 * down + 1) * (2 * across + 1))
    # Pixels beyond the border are of no class.
    padded = pad(
        classes.reshape(-1, height, width).to(_narrowest(num_classes)),
        (across, across, down, down),
        value=num_classes,
    )
    indices = torch.arange(num_classes, dtype=padded.dtype, device=classes.device).view(-1, 1, 1)
    on_cpu = classes.device.type == "cpu"
    rows = max(1, _BAND // max(1, width)) if on_cpu else max(1, height)
    together = 1 if on_cpu else _CLASSES_AT_ONCE
    result = torch.zeros(classes.shape, dtype=torch.float32, device=classes.device)
    for image, total in zip(padded, result.view(-1, height, width), strict=True):
        for top in range(0, height, rows):
            band, target = image[top : top + rows + 2 * down], total[top : top + rows]
            for first in range(0, num_classes, together):
                some = indices[first : first + together]
                # Written as numbers, since torch compares into booleans one pixel at a time.
                found = torch.eq(band, some, out=band.new_empty(0, dtype=column))
                if on_cpu and not found.any():
                    continue
                counts = _sliding_sum(found, 2 * down + 1, -2).to(window)
                counts = _sliding_sum(counts, 2 * across + 1, -1).clamp(min=1).to(torch.float32)
                for term in counts.log().mul_(counts):
                    target += term
            pixels = in_column[top : top + rows, None] * in_row
            target.div_(pixels).neg_().add_(pixels.log()).clamp_(min=0)
    return result


def _axis_count(size: int, radius: int) -> Tensor:
    """How many of `size` pixels of a line are in the clipped window around each: int64."""
    return _axis_sum(torch.ones(size, dtype=torch.int64), radius, -1)


def _narrowest(largest: int) -> torch.dtype:
    """The narrowest integer type that holds a number: these additions are bound by memory."""
    types = (torch.uint8, torch.int16, torch.int32)
    return next(dtype for dtype in types if largest <= torch.iinfo(dtype).max)


def _axis_sum(x: Tensor, radius: int, axis: int) -> Tensor:
    """Sums along one axis, in the type of `x`, which must hold the largest of them."""
    if radius < 0:
        raise ValueError(f"the window radius is {radius}; it must be 0 or more")
    radius = min(radius, max(x.shape[axis] - 1, 0))
    padded = pad(x, (radius, radius) if axis == -1 else (0, 0, radius, radius))
    return _sliding_sum(padded, 2 * radius + 1, axis)


def _sliding_sum(block: Tensor, width: int, axis: int) -> Tensor:
    """Sum of each `width` pixels that follow one another along an axis, `width - 1` fewer."""
    size = block.shape[axis] - width + 1
    # block[i] is the sum of the `length` pixels from i on; the binary digits of the width say
    # which of these sums follow one another in a window.
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

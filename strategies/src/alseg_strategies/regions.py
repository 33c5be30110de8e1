"""Greedy choice of square regions from a score map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of one image, best first.

    Attributes:
        centres: N×2 int64, (row, column) of each picked pixel.
        labelled: H×W bool, the pixels that the picks label anew.
        excluded: H×W bool, the pixels that can be the centre of no later pick.
        costs: N int64, how many pixels each pick labels anew; sums to the size of `labelled`.
    """

    centres: Tensor
    labelled: Tensor
    excluded: Tensor
    costs: Tensor


def select_regions(
    score: Tensor,
    count: int,
    radius: int,
    exclusion_radius: int | None = None,
    unavailable: Tensor | None = None,
    labelled: Tensor | None = None,
) -> Regions:
    """Pick the best pixel again and again, each with the region around it.

    Each pick labels the (2 radius + 1)² window around a pixel and rules out every pixel of the
    (2 exclusion_radius + 1)² window as the centre of another pick; both windows are clipped at
    the border. Of equal scores the first column goes first, then the first row, as in the
    programs of RIPU (arXiv 2111.12940, algorithm 1) and HALO. Runs on the CPU.

    Args:
        score: [H, W] on any device, higher = first; minus infinity = never.
        count: How many regions to pick. Fewer come back when no pixel is left to pick.
        radius: Window radius of a region in pixels, 0 = one pixel.
        exclusion_radius: Radius in pixels of what a pick rules out, 2 radius by default.
        unavailable: [H, W] bool, pixels that must not be picked, though a region may cover them.
        labelled: [H, W] bool, pixels that had a label before, which no pick pays for again.

    Returns:
        The picks, on the device of the score. `excluded` includes `unavailable`.

    Raises:
        ValueError: The score has NaN values, a shape does not fit, or a number is negative.
    """
    exclusion_radius = 2 * radius if exclusion_radius is None else exclusion_radius
    for name, number in (("count", count), ("radius", radius), ("exclusion", exclusion_radius)):
        if number < 0:
            raise ValueError(f"the {name} of regions is {number}; it must be 0 or more")
    if score.ndim != 2:
        raise ValueError(f"score has the shape {tuple(score.shape)}; expected (height, width)")
    values = score.detach().cpu()
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    nans = int(values.isnan().sum())
    if nans:
        raise ValueError(f"{nans} of {values.numel()} scores are NaN, which cannot be ranked")
    excluded = _Mask(values, unavailable, "unavailable")
    covered = _Mask(values, labelled, "labelled")
    before = covered.flags.clone()

    centres: list[tuple[int, int]] = []
    costs: list[int] = []
    chunk = max(_SMALLEST_CHUNK, 8 * count)
    while len(centres) < count:
        candidates = _best_candidates(values.masked_fill(excluded.flags, -torch.inf), chunk)
        if not candidates:
            break
        for pixel in candidates:
            if excluded.bytes[pixel]:
                continue
            row, column = divmod(pixel, values.shape[1])
            excluded.mark_window(row, column, exclusion_radius)
            costs.append(covered.mark_window(row, column, radius))
            centres.append((row, column))
            if len(centres) == count:
                break
        chunk *= 4
    device = score.device
    return Regions(
        centres=torch.tensor(centres, dtype=torch.int64).reshape(-1, 2).to(device),
        labelled=(covered.flags & ~before).to(device),
        excluded=excluded.flags.to(device),
        costs=torch.tensor(costs, dtype=torch.int64).to(device),
    )


def _best_candidates(values: Tensor, about: int) -> list[int]:
    """The best pixels that are not minus infinity, as indices row · width + column, best first.

    Sorting a whole map for a thousand picks is a waste. A sample of the map says above which
    score about as many pixels as asked for lie, and these alone are sorted; all pixels of one
    score are among them or none, so the order is that of the whole map. Empty if and only if no
    pixel is left.
    """
    # Odd, so that the sample does not run down a few columns of a map of even width.
    stride = values.numel() // _SAMPLE | 1
    sample = values.flatten()[::stride]
    threshold = sample.topk(min(max(1, about // stride), len(sample))).values[-1]
    chosen = values >= threshold if threshold > -torch.inf else values > -torch.inf
    # The transposed map lists its pixels column by column: the order of equals, which a stable
    # sort keeps.
    columns, rows = chosen.t().nonzero().unbind(1)
    order = values[rows, columns].sort(descending=True, stable=True).indices
    best: list[int] = (rows * values.shape[1] + columns)[order].tolist()
    return best


_SMALLEST_CHUNK = 4096
_SAMPLE = 2**14


class _Mask:
    """H×W flags, as bytes for a loop over pixels and as a tensor: the same memory."""

    def __init__(self, score: Tensor, initial: Tensor | None, name: str) -> None:
        self.height, self.width = score.shape
        self.bytes = bytearray(score.numel())
        self.flags = torch.frombuffer(self.bytes, dtype=torch.bool).view(score.shape)
        if initial is not None:
            if initial.shape != score.shape:
                raise ValueError(
                    f"{name} has the shape {tuple(initial.shape)}; the score has "
                    f"{tuple(score.shape)}"
                )
            self.flags.copy_(initial)

    def mark_window(self, row: int, column: int, radius: int) -> int:
        """Set the flags of the clipped window; how many were not set before."""
        left, right = max(0, column - radius), min(self.width, column + radius + 1)
        marked = b"\1" * (right - left)
        new = 0
        for line in range(max(0, row - radius), min(self.height, row + radius + 1)):
            start, stop = line * self.width + left, line * self.width + right
            new += self.bytes.count(0, start, stop)
            self.bytes[start:stop] = marked
        return new

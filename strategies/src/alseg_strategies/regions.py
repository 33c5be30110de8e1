"""Greedy choice of square regions from a score map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alseg_strategies.strategy import check_choice
from alseg_strategies.windows import window_count, window_minimum


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


def clipped_centres(height: int, width: int, radius: int) -> Tensor:
    """Where the border takes more of a window than elsewhere in the image: [H, W] bool.

    In an image that is narrower than a window the border takes some of every one; those are whole
    of which it takes the least. A single pixel is never clipped.
    """
    pixels = window_count(height, width, radius)
    return pixels < pixels.max()


def select_regions(
    score: Tensor,
    count: int,
    radius: int,
    exclusion_radius: int | None = None,
    unavailable: Tensor | None = None,
    labelled: Tensor | None = None,
    clipped: Literal["any", "last"] = "any",
    ties: Tensor | None = None,
) -> Regions:
    """Pick the best pixel again and again, each with the region around it.

    Each pick labels the (2 radius + 1)² window around a pixel and rules out every pixel of the
    (2 exclusion_radius + 1)² window as the centre of another pick; both windows are clipped at
    the border. Of equal scores the first column goes first, then the first row, as in the
    programs of RIPU (arXiv 2111.12940, algorithm 1) and HALO, unless `ties` decides. Runs on the
    device of the score.

    Args:
        score: [H, W] on any device, higher = first; minus infinity = never.
        count: How many regions to pick. Fewer come back when no pixel is left to pick.
        radius: Window radius of a region in pixels, 0 = one pixel.
        exclusion_radius: Radius in pixels of what a pick rules out, 2 radius by default.
        unavailable: [H, W] bool, pixels that must not be picked, though a region may cover them.
        labelled: [H, W] bool, pixels that had a label before, which no pick pays for again.
        clipped: "any" takes regions that the border clips by their scores, as published; "last"
            takes them once no whole one is left. A few classes can divide a clipped window more
            evenly than a whole one, so that entropies of histograms favour the border.
        ties: [H, W] integers, no two alike; of equal scores the lowest goes first.

    Returns:
        The picks, on the device of the score. `excluded` includes `unavailable`.

    Raises:
        ValueError: The score has NaN values, a shape does not fit, a number is negative, or
            `clipped` is another word.
    """
    check_choice("select_regions", "clipped", clipped, ("any", "last"))
    exclusion_radius = 2 * radius if exclusion_radius is None else exclusion_radius
    for name, number in (("count", count), ("radius", radius), ("exclusion", exclusion_radius)):
        if number < 0:
            raise ValueError(f"the {name} of regions is {number}; it must be 0 or more")
    if score.ndim != 2 or not score.numel():
        raise ValueError(f"score has the shape {tuple(score.shape)}; expected (height, width)")
    wide = torch.promote_types(score.dtype, torch.float32)
    # Of integers float32 holds 24 bits only.
    values = score.detach().to(wide if score.is_floating_point() else torch.float64)
    nans = int(values.isnan().sum())
    if nans:
        raise ValueError(f"{nans} of {values.numel()} scores are NaN, which cannot be ranked")
    if ties is not None and ties.shape != score.shape:
        raise ValueError(
            f"ties has the shape {tuple(ties.shape)}; the score has {tuple(score.shape)}"
        )
    order = None if ties is None else ties.to(score.device)
    masks = (_flags(unavailable, score, "unavailable"), _flags(labelled, score, "labelled"))
    pick = _pick_one_by_one if score.device.type == "cpu" else _pick_at_once
    if clipped == "any" or radius == 0:
        return pick(values, count, radius, exclusion_radius, *masks, order)
    height, width = score.shape
    at_border = clipped_centres(height, width, radius).to(score.device)
    whole = values.masked_fill(at_border, -torch.inf)
    first = pick(whole, count, radius, exclusion_radius, *masks, order)
    if len(first.centres) == count:
        return first
    labelled_by_now = masks[1] | first.labelled
    missing = count - len(first.centres)
    rest = pick(values, missing, radius, exclusion_radius, first.excluded, labelled_by_now, order)
    return Regions(
        centres=torch.cat((first.centres, rest.centres)),
        labelled=first.labelled | rest.labelled,
        excluded=rest.excluded,
        costs=torch.cat((first.costs, rest.costs)),
    )


def _flags(mask: Tensor | None, score: Tensor, name: str) -> Tensor:
    if mask is None:
        return torch.zeros(score.shape, dtype=torch.bool, device=score.device)
    if mask.shape != score.shape:
        raise ValueError(
            f"{name} has the shape {tuple(mask.shape)}; the score has {tuple(score.shape)}"
        )
    return mask.to(score.device, torch.bool)


def _pick_one_by_one(
    values: Tensor,
    count: int,
    radius: int,
    exclusion_radius: int,
    unavailable: Tensor,
    labelled: Tensor,
    ties: Tensor | None,
) -> Regions:
    """Go down the ranking and take each pixel that no earlier pick rules out; on the CPU."""
    excluded, covered = _Mask(unavailable), _Mask(labelled)
    centres: list[tuple[int, int]] = []
    costs: list[int] = []
    chunk = max(_SMALLEST_CHUNK, 8 * count)
    while len(centres) < count:
        # A pick rules out a window of pixels at most, so no more candidates than that are needed.
        most = (count - len(centres)) * (2 * exclusion_radius + 1) ** 2
        free = values.masked_fill(excluded.flags, -torch.inf)
        candidates = _best_candidates(free, chunk, min(most, values.numel()), ties)
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
    return Regions(
        centres=torch.tensor(centres, dtype=torch.int64).reshape(-1, 2),
        labelled=covered.flags & ~labelled,
        excluded=excluded.flags,
        costs=torch.tensor(costs, dtype=torch.int64),
    )


def _best_candidates(values: Tensor, about: int, most: int, ties: Tensor | None) -> list[int]:
    """The best pixels that are not minus infinity, as indices row · width + column, best first.

    Sorting a whole map for a thousand picks is a waste. A sample of the map says above which
    score about as many pixels as asked for lie, and these alone are sorted; those of this very
    score follow, all or the first of them, so the order is that of the whole map. Empty if and
    only if no pixel is left.
    """
    # Odd, so that the sample does not run down a few columns of a map of even width.
    stride = values.numel() // _SAMPLE | 1
    sample = values.flatten()[::stride]
    threshold = sample.topk(min(max(1, about // stride), len(sample))).values[-1]
    chosen = values >= threshold if threshold > -torch.inf else values > -torch.inf
    # The transposed map lists its pixels column by column: the order of equals, which a stable
    # sort keeps.
    columns, rows = chosen.t().nonzero().unbind(1)
    if ties is not None:
        order = ties[rows, columns].argsort()
        rows, columns = rows[order], columns[order]
    pixels, scores = rows * values.shape[1] + columns, values[rows, columns]
    better = scores > threshold
    order = scores[better].sort(descending=True, stable=True).indices
    best: list[int] = torch.cat((pixels[better][order], pixels[~better]))[:most].tolist()
    return best


_SMALLEST_CHUNK = 4096
_SAMPLE = 2**14
# The rank of a pixel that is never picked.
_NEVER = torch.iinfo(torch.int32).max


class _Mask:
    """H×W flags, as bytes for a loop over pixels and as a tensor: the same memory."""

    def __init__(self, initial: Tensor) -> None:
        self.height, self.width = initial.shape
        self.bytes = bytearray(initial.numel())
        self.flags = torch.frombuffer(self.bytes, dtype=torch.bool).view(initial.shape)
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


def _pick_at_once(
    values: Tensor,
    count: int,
    radius: int,
    exclusion_radius: int,
    unavailable: Tensor,
    labelled: Tensor,
    ties: Tensor | None,
) -> Regions:
    """Take every pixel that is the best left in its window, again and again; on any device.

    Such a pixel is picked one by one as well: nothing that could rule it out comes before it. The
    host waits for the device once a round, not once a pick. 10,000 picks from a map of noise take
    a handful of rounds; from a constant map, where each pick waits for the one above it, some 400.
    """
    height = values.shape[0]
    # The transposed map lists its pixels column by column: the order of equals, which a stable
    # sort keeps. All maps below are transposed, for which square windows are the same.
    ranking = values.masked_fill(unavailable, -torch.inf).t().flatten()
    if ties is None:
        ranking, pixels = ranking.sort(descending=True, stable=True)
    else:
        by_ties = ties.t().flatten().argsort()
        ranking, best = ranking[by_ties].sort(descending=True, stable=True)
        pixels = by_ties[best]
    rank = torch.arange(len(pixels), dtype=torch.int32, device=values.device)
    # As above, the first picks are among so many of the best.
    enough = min(len(pixels), count * (2 * exclusion_radius + 1) ** 2)
    rank = rank.masked_fill((ranking == -torch.inf) | (rank >= enough), _NEVER)
    left = torch.empty_like(rank).scatter_(0, pixels, rank).view(values.t().shape)
    picked = torch.full_like(left, _NEVER)
    while (left < _NEVER).any():
        best = left.masked_fill(left > window_minimum(left, exclusion_radius), _NEVER)
        picked = torch.minimum(picked, best)
        left = left.masked_fill(window_minimum(best, exclusion_radius) < _NEVER, _NEVER)

    chosen = pixels[picked[picked < _NEVER].sort().values[:count]]
    order = torch.arange(len(chosen), dtype=torch.int32, device=values.device)
    picked = torch.full_like(rank, _NEVER).scatter_(0, chosen, order).view(left.shape)
    # A pixel in the windows of several picks is labelled, and paid for, by the first of them.
    owner = window_minimum(picked, radius).t()
    new = (owner < _NEVER) & ~labelled
    return Regions(
        centres=torch.stack((chosen % height, chosen // height), dim=1),
        labelled=new,
        excluded=unavailable | (window_minimum(picked, exclusion_radius).t() < _NEVER),
        costs=owner[new].bincount(minlength=len(chosen)),
    )

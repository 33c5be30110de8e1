"""Views: one crop of an image shown in several ways, and maps carried from one way to another."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class View:
    """One way in which the B images of a batch are shown.

    All views of an image are made from the same crop of it.

    Attributes:
        images: B×C×h×w, normalised.
        labels: B×h×w train ids; 255 where a pixel has no label or nobody was asked for it.
        geometry: B×2×3, float32: which place of the crop a pixel of the view shows. Each matrix
            maps (x, y, 1) to (x, y), both from -1 at the left or upper edge to 1 at the right or
            lower one, as in ``torch.nn.functional.affine_grid`` with ``align_corners=False``.
        valid: B×h×w bool, False where a pixel shows no image but what is beside it; None where all
            pixels show one.
    """

    images: Tensor
    labels: Tensor
    geometry: Tensor
    valid: Tensor | None = field(default=None, kw_only=True)


def flip_geometry(flipped: bool) -> Tensor:
    """Return the geometry 2×3 of a view that shows the crop, or its mirror image."""
    return torch.tensor([[-1.0 if flipped else 1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def carry(maps: Tensor, source: View, target: View) -> tuple[Tensor, Tensor]:
    """Return maps on the grid of one view as they are on the grid of another.

    Between views that are mirror images of each other at most, the maps are flipped and no value
    changes. Otherwise they are interpolated bilinearly, in float32 or better.

    To tell the two apart takes a look at the geometry, for which an accelerator waits.

    Args:
        maps: B×C×h×w, floating-point, over the whole of ``source`` at any resolution.
        source: The view that the maps belong to.
        target: Another view of the same images.

    Returns:
        The maps, B×C×h×w, over the whole of ``target``; and B×h×w, True where what a pixel of
        ``target`` shows is in ``source`` too, and is image in both. Elsewhere the maps have no
        meaning.
    """
    there = _between(source.geometry, target.geometry)
    height, width = maps.shape[-2:]
    identity = torch.eye(2, 3, device=there.device)
    mirrored = there * there.new_tensor([[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    flips = (mirrored == identity).all((1, 2))
    if bool((flips | (there == identity).all((1, 2))).all()):
        carried = torch.where(flips[:, None, None, None], maps.flip(-1), maps)
        inside = torch.ones_like(maps[:, 0], dtype=torch.bool)
        if source.valid is not None:
            valid = _shrunk(source.valid, maps)
            inside = torch.where(flips[:, None, None], valid.flip(-1), valid)
        return carried, inside if target.valid is None else inside & _shrunk(target.valid, maps)
    # bfloat16 has too few digits for the position of a pixel.
    precise = maps.to(torch.promote_types(maps.dtype, torch.float32))
    shape = [len(maps), 1, height, width]
    with torch.autocast(maps.device.type, enabled=False):
        grid = functional.affine_grid(there.to(precise.dtype), shape, align_corners=False)
        carried = functional.grid_sample(precise, grid, padding_mode="border", align_corners=False)
        inside = (grid.abs() <= 1).all(-1)
        if source.valid is not None:
            valid = _shrunk(source.valid, maps)[:, None].to(grid.dtype)
            shown = functional.grid_sample(valid, grid, padding_mode="border", align_corners=False)
            # Every pixel that was interpolated between is image, but for what rounding takes.
            inside = inside & (shown[:, 0] > 1 - 1e-4)
    if target.valid is not None:
        inside = inside & _shrunk(target.valid, maps)
    return carried.to(maps.dtype), inside


def _shrunk(valid: Tensor, maps: Tensor) -> Tensor:
    """Return where all that a cell of maps covers is image, B×h×w at the maps' resolution."""
    beside = functional.adaptive_max_pool2d((~valid)[:, None].float(), maps.shape[-2:])
    return beside[:, 0] == 0


def _between(source: Tensor, target: Tensor) -> Tensor:
    """Return B×2×3, the place in ``source`` of a pixel of ``target``; exact for flips."""
    # In closed form: the solvers of torch make an accelerator wait, and autocast rounds products.
    a, b, c, d = (source[:, row, column, None] for row in (0, 1) for column in (0, 1))
    origin = torch.zeros_like(source)
    origin[:, :, 2] = source[:, :, 2]
    across, down = (target - origin).unbind(1)
    rows = [d * across - b * down, a * down - c * across]
    return torch.stack(rows, 1) / (a * d - b * c)[..., None]

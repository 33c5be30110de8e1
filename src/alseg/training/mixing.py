"""Mixing the images of a batch: parts of each are pasted into the one before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MIXES = ("none", "cutmix", "classmix")


def mixing_mask(how: str, classes: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return which pixels of each image are pasted into the image before it.

    Args:
        how: ``none``; ``cutmix``, a rectangle of half the area (Yun et al., ICCV 2019); or
            ``classmix``, the pixels of half the classes that the image holds (Olsson et al., WACV
            2021).
        classes: B×h×w class of each pixel, as predicted; 255 is never pasted by ``classmix``.
        generator: What is drawn with, on the CPU; None takes torch's.

    Returns:
        B×h×w bool.
    """
    mask = torch.zeros_like(classes, dtype=torch.bool)
    for image, own in enumerate(classes):
        if how == "cutmix":
            top, left, bottom, right = _half_box(own.shape[0], own.shape[1], generator)
            mask[image, top:bottom, left:right] = True
        elif how == "classmix":
            held = torch.unique(own[own != 255])
            order = torch.randperm(len(held), generator=generator).to(held.device)
            mask[image] = torch.isin(own, held[order[: len(held) // 2]])
    return mask


def mix(maps: Tensor, mask: Tensor) -> Tensor:
    """Return maps in which each image has the masked pixels of the one after it.

    Args:
        maps: B×h×w or B×C×h×w.
        mask: B×h×w, as ``mixing_mask`` returns it: of the image that is pasted.
    """
    pasted = mask.roll(-1, 0)
    where = pasted if maps.ndim == 3 else pasted[:, None]
    return torch.where(where, maps.roll(-1, 0), maps)


def _half_box(height: int, width: int, generator: torch.Generator | None) -> Sequence[int]:
    """Draw a rectangle inside an image of about half its area."""
    least = -(-width // 2)
    across = int(torch.randint(least, width + 1, (), generator=generator))
    down = min(height, max(1, round(height * width / 2 / across)))
    top = int(torch.randint(0, height - down + 1, (), generator=generator))
    left = int(torch.randint(0, width - across + 1, (), generator=generator))
    return top, left, top + down, left + across

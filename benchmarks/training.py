"""What the losses and the hyperbolic head add to a training step.

A step through Lightning with all losses of the protocol, beside a plain loop that trains the same
network on the same batches by cross-entropy alone; the hyperbolic head in float32, beside the
published formula in float64. And what it costs to learn from unasked pixels: a step with
pseudo-labels and one with U2PL, beside the same step without.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from alseg.data import load_label_space
from alseg.data.views import flip_geometry
from alseg.models import HyperbolicHead, Network
from alseg.runs.fit import quiet_lightning
from alseg.training.module import SegmentationModule
from alseg.training.unlabelled import LEARNT, Unlabelled
from benchmarks.measure import machine, peak_bytes, print_table, seconds, write_json

CPU = torch.device("cpu")
Batch = Mapping[str, Mapping[str, Tensor]]


def batch_of(size: tuple[int, int], images: int, device: torch.device) -> Batch:
    """Return random images with blocks of labels; 1 % of the target's pixels have one."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 19, (images, 1, size[0] // 32, size[1] // 32), generator=draw)
    labels = functional.interpolate(coarse.float(), size)[:, 0].long()
    asked = torch.rand(labels.shape, generator=draw) < 0.01
    pixels = [torch.randn(images, 3, *size, generator=draw).to(device) for _ in range(3)]
    answers = labels.where(asked, 255).to(device)
    strong = {
        "image": pixels[2],
        "label": answers.flip(-1),
        "geometry": flip_geometry(True).expand(images, 2, 3).to(device),
    }
    return {
        "source": {"image": pixels[0], "label": labels.to(device)},
        "target": {"image": pixels[1], "label": answers, "views": {"strong": strong}},
    }


class StepTimes(L.Callback):
    """The seconds from the end of one step to the end of the next."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ends: list[float] = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Note the time."""
        wait_for(self.device)
        self.ends.append(time.perf_counter())


def lightning_step(module: SegmentationModule, batch: Batch, steps: int) -> float:
    """The median seconds of a step with all losses, as `alseg fit` takes it."""
    device = batch["source"]["image"].device
    times = StepTimes(device)
    trainer = L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        max_steps=steps + 3,
        callbacks=[times],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader([batch] * (steps + 3), batch_size=None))
    return median_step(times.ends)


def plain_step(module: SegmentationModule, batch: Batch, steps: int) -> float:
    """The median seconds of a step of a bare supervised loop."""
    device = batch["source"]["image"].device
    network = module.segmenter.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    ends = []
    for _ in range(steps + 3):
        optimizer.zero_grad()
        loss = torch.zeros((), device=device)
        for part in batch.values():
            logits = network(part["image"]).logits
            size = part["label"].shape[-2:]
            logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
            loss = loss + functional.cross_entropy(logits, part["label"], ignore_index=255)
        loss.backward()
        optimizer.step()
        wait_for(device)
        ends.append(time.perf_counter())
    return median_step(ends)


def median_step(ends: list[float]) -> float:
    """The median of the steps, without the first, which allocate."""
    return statistics.median(later - earlier for earlier, later in pairwise(ends[2:]))


def wait_for(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare_steps(
    size: tuple[int, int], images: int, steps: int, device: torch.device
) -> list[dict[str, object]]:
    """Time both loops for both heads, in turn, and take the best median of each."""
    batch = batch_of(size, images, device)
    rows: list[dict[str, object]] = []
    for head in ("linear", "hyperbolic"):
        times: dict[str, list[float]] = {"plain": [], "alseg": []}
        for _ in range(2):
            module = new_module(head)
            times["plain"].append(plain_step(module, batch, steps))
            times["alseg"].append(lightning_step(new_module(head), batch, steps))
        plain, ours = min(times["plain"]), min(times["alseg"])
        rows.append({"head": head, "plain loop s": plain, "alseg s": ours, "ratio": ours / plain})
    return rows


def compare_unlabelled(
    size: tuple[int, int], images: int, steps: int, device: torch.device
) -> list[dict[str, object]]:
    """Time a step for each way to learn from unasked pixels, in turn; the best median of each."""
    batch = batch_of(size, images, device)
    times: dict[str, list[float]] = {way: [] for way in LEARNT}
    for _ in range(2):
        for way, found in times.items():
            found.append(lightning_step(new_module("linear", way), batch, steps))
    best = {way: min(found) for way, found in times.items()}
    peaks = {way: step_bytes(new_module("linear", way), batch) for way in LEARNT}
    return [
        {
            "unlabelled": way,
            "seconds": best[way],
            "ratio": best[way] / best["none"],
            "MiB of tensors": peaks[way] / 2**20,
        }
        for way in LEARNT
    ]


def step_bytes(module: SegmentationModule, batch: Batch) -> int:
    """The most bytes of tensors that a step makes beside weights and batch, on its device."""
    device = batch["source"]["image"].device
    trainer = L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return peak_bytes(lambda: trainer.fit(module, DataLoader([batch] * 2, batch_size=None)))


def new_module(head: str, unlabelled: str = "none") -> SegmentationModule:
    """A DeepLabV3+ with MobileNetV2 for 19 classes."""
    return SegmentationModule(
        load_label_space("cityscapes19"),
        network=Network(encoder_weights="none", head=head),
        unlabelled=Unlabelled(unlabelled),
        seed=0,
    )


def published_head(head: HyperbolicHead, features: Tensor) -> Tensor:
    """The logits as the paper's formulas have them, by a Möbius addition in closed form.

    Exponential map at the origin, then Ganea et al. 2018, equation 25, with the Möbius sum of
    each class point and embedding written out in inner products (HALO, arXiv 2306.11180).
    """
    c = head.curvature
    u = head.tangent(features)
    norm = u.norm(dim=1, keepdim=True).clamp(min=1e-15)
    z = torch.tanh(math.sqrt(c) * norm) * u / (math.sqrt(c) * norm)
    length = z.norm(dim=1, keepdim=True).clamp(min=1e-15)
    longest = (1 - 1e-5) / math.sqrt(c)
    z = torch.where(length > longest, z / length * longest, z)
    p, a = -head.points, head.normals
    a_norm = a.norm(dim=1)[:, None, None]
    pp, zz = p.square().sum(1)[:, None, None], z.square().sum(1, keepdim=True)
    pz, za = product(p, z), product(a, z)
    pa = (p * a).sum(1)[:, None, None]
    first, second = 1 + 2 * c * pz + c * zz, 1 - c * pp
    below = 1 + 2 * c * pz + c * c * pp * zz
    sum_a = (first * pa + second * za) / below
    sum_square = (first**2 * pp + 2 * first * second * pz + second**2 * zz) / below**2
    short = (1 - 1e-3) / math.sqrt(c) / sum_square.clamp(min=1e-30).sqrt()
    short = short.clamp(max=1)
    sum_a, sum_square = sum_a * short, sum_square * short**2
    argument = 2 * math.sqrt(c) * sum_a / ((1 - c * sum_square) * a_norm)
    return 2 / math.sqrt(c) * a_norm * torch.asinh(argument)


def product(matrix: Tensor, maps: Tensor) -> Tensor:
    """Return the inner products of C×D vectors with B×D×H×W maps, as a 1×1 convolution."""
    return functional.conv2d(maps, matrix[:, :, None, None])


def time_heads(device: torch.device) -> list[dict[str, object]]:
    """Time the head forward and backward on 160×320 features of 64 dimensions."""
    heads = {dtype: HyperbolicHead(64, 19).to(device, dtype) for dtype in (F32, F64)}
    heads[F64].load_state_dict(heads[F32].state_dict())
    maps = as_fed(torch.randn(1, 64, 160, 320, device=device))

    inputs = {dtype: maps.to(dtype, copy=True).requires_grad_() for dtype in (F32, F64)}

    def run(dtype: torch.dtype, published: bool) -> None:
        features, head = inputs[dtype], heads[dtype]
        logits = published_head(head, features) if published else head(features).logits
        logits.sum().backward()

    ours, same, formula = seconds(
        device, lambda: run(F32, False), lambda: run(F64, False), lambda: run(F64, True)
    )
    return [
        {"head": "ours, float32", "seconds": ours, "ratio": 1.0},
        {"head": "ours, float64", "seconds": same, "ratio": same / ours},
        {"head": "published formula, float64", "seconds": formula, "ratio": formula / ours},
    ]


def as_fed(features: Tensor) -> Tensor:
    """Lay features out as the network gives them."""
    return features.contiguous(memory_format=torch.channels_last)


F32, F64 = torch.float32, torch.float64


def head_share(device: torch.device) -> dict[str, object]:
    """The head's part of a training step of the network on two images of 640×1280."""
    batch = batch_of((640, 1280), 2, device)
    one = {"source": batch["source"]}
    module = new_module("hyperbolic")
    step = plain_step(module, one, 3)
    head = module.segmenter.head
    features = as_fed(torch.randn(2, head.reduce.in_channels, 160, 320, device=device))

    def run() -> None:
        head(features.clone().requires_grad_()).logits.sum().backward()

    (alone,) = seconds(device, run)
    return {"step s": step, "head s": alone, "share": alone / step}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--images", type=int, default=2, help="of each domain")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    device = torch.device(options.device)
    print(machine(device))
    size = (options.height, options.width)
    heads = time_heads(device)
    print_table("hyperbolic head forward and backward, 1×64×160×320, 19 classes", heads)
    share = head_share(device)
    print_table("the head's share of a step on two images of 640×1280", [share])
    with quiet_lightning():
        steps = compare_steps(size, options.images, options.steps, device)
    print_table(
        f"a training step, {options.images} + {options.images} images of {size[0]}×{size[1]}", steps
    )
    with quiet_lightning():
        unlabelled = compare_unlabelled(size, options.images, options.steps, device)
    print_table("the same step, learning from unasked pixels", unlabelled)
    if options.out is not None:
        content = {
            "machine": machine(device),
            "heads": heads,
            "share": share,
            "steps": steps,
            "unlabelled": unlabelled,
        }
        write_json(options.out, content)


if __name__ == "__main__":
    main()

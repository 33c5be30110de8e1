"""What scoring and selecting cost, beside the same written plainly.

    python -m benchmarks.acquisition [--device cuda] [--quick] [--out FILE.json]

From 1024×2048 pixels, 19 classes and window radius 1 on, one thing is varied at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from alseg_strategies import (
    Regions,
    Signals,
    Strategy,
    available,
    create,
    options,
    select_regions,
)
from benchmarks import plain
from benchmarks.measure import machine, peak_bytes, print_table, seconds, write_json

HEADER = """\
The logits are random: every class is everywhere, which is the most work for alseg, while the
baselines do the same work whatever the logits. The baselines are those of benchmarks/plain.py.
Times are in seconds, the best of several, taken in turns. "× baseline" is the baseline's time over
alseg's, "log_softmax" alseg's time over that of one log_softmax of the same logits, "memory" the
most that is held beside the logits, as a multiple of them. What takes longer than five seconds is
timed once. "-" at radius 32: the baselines would take too long. RIPU's one-hot classes come with
the classes of a pixel next to one another, and PyTorch has a faster convolution for these;
"contiguous" is the same baseline with one plane a class. Of many logits it runs in bands of rows,
to fit the memory.
In the selection's table, log_softmax is of 19 classes, and memory a multiple of the score map.
The loop picks no more than 1,026; of more picks the first 1,026 are compared with it.
"""

SIZES = ((256, 512), (512, 1024), (1024, 2048), (2048, 4096))
CLASSES = (2, 11, 19, 150)
RADII = (0, 1, 4, 16, 32)
PICKS = (10, 100, 1026, 10_000)
MAPS = ("noise", "ties", "constant")

# At 1024×2048 a convolution over 19 contiguous planes takes some two minutes on two cores.
LARGEST_RADIUS = 16
# Logits that a baseline is given at once: its one-hot classes take 8 bytes each, and more follows.
AT_ONCE = 2**28
LOOP_PICKS = 1026


def score_row(
    name: str, size: tuple[int, int], classes: int, radius: int, device: torch.device
) -> dict[str, object]:
    """Time one strategy and its baseline on one random image."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(1, classes, *size, device=device)
    signals = Signals(logits, radius=6 * torch.rand(1, *size, device=device))
    windowed = "radius" in options(name)
    strategy = create(name, **({"radius": radius} if windowed else {}))
    functions: list[Callable[[], object]] = [
        partial(logits.log_softmax, 1),
        partial(strategy.score, signals),
    ]
    if radius <= LARGEST_RADIUS:
        functions.append(baseline(name, signals, radius))
        if name == "ripu":
            functions.append(partial(ripu_in_bands, logits, radius, contiguous=True))
    log_softmax, own, *others = seconds(device, *functions)
    other, contiguous = (*others, None, None)[:2]
    return {
        "strategy": name,
        "size": f"{size[0]}×{size[1]}",
        "classes": classes,
        "radius": radius if windowed else None,
        "seconds": own,
        "baseline": other,
        "× baseline": other and other / own,
        "contiguous": contiguous,
        "× contiguous": contiguous and contiguous / own,
        "log_softmax": own / log_softmax,
        "memory": peak_bytes(functions[1]) / logits.nbytes,
    }


def baseline(name: str, signals: Signals, radius: int) -> Callable[[], Tensor]:
    """The plain counterpart of a strategy, ready to run."""
    logits = signals.logits
    if name == "ripu":
        return partial(ripu_in_bands, logits, radius)
    if name == "halo":
        assert signals.radius is not None
        return partial(plain.halo, logits, signals.radius, radius)
    return partial(getattr(plain, name.replace("-", "_")), logits)


def ripu_in_bands(logits: Tensor, radius: int, contiguous: bool = False) -> Tensor:
    """`plain.ripu`, on as few bands of rows as AT_ONCE admits."""
    height = logits.shape[2]
    rows = -(-height // -(-logits.numel() // AT_ONCE))
    bands = []
    for top in range(0, height, rows):
        above = min(radius, top)
        band = plain.ripu(logits[:, :, top - above : top + rows + radius], radius, contiguous)
        bands.append(band[:, above : above + rows])
    return torch.cat(bands, dim=1)


def score_rows(quick: bool, device: torch.device) -> list[dict[str, object]]:
    """Every strategy at every size and every number of classes; the windowed at every radius."""
    base = ((512, 1024) if quick else (1024, 2048), 19, 1)
    cases = [
        base,
        *((size, 19, 1) for size in SIZES if size < base[0] or not quick),
        *((base[0], classes, 1) for classes in CLASSES),
        *((base[0], 19, radius) for radius in RADII if radius <= 4 or not quick),
    ]
    return [
        score_row(name, *case, device)
        for case in dict.fromkeys(cases)
        for name in available()
        if case[2] == 1 or "radius" in options(name)
    ]


def map_of(kind: str, size: tuple[int, int], device: torch.device) -> Tensor:
    """A score map H×W: independent numbers, such with ten values only, or the same everywhere."""
    noise = torch.rand(size, generator=torch.Generator().manual_seed(0)).to(device)
    return {"noise": noise, "ties": (10 * noise).floor(), "constant": torch.ones_like(noise)}[kind]


def selection_rows(quick: bool, device: torch.device) -> list[dict[str, object]]:
    """The picks of every kind of map, and whether they are the loop's."""
    size = (512, 1024) if quick else (1024, 2048)
    rows: list[dict[str, object]] = []
    logits = torch.randn(1, 19, *size, device=device)
    (unit,) = seconds(device, lambda: logits.log_softmax(1))
    for kind in MAPS:
        score = map_of(kind, size, device)
        for picks in PICKS[:2] if quick else PICKS:
            loop = partial(plain.select, score, min(picks, LOOP_PICKS), 1, 2)
            select = partial(select_regions, score, picks, 1)
            own, *other = seconds(device, select, *([loop] if picks <= LOOP_PICKS else []))
            rows.append(
                {
                    "map": kind,
                    "size": f"{size[0]}×{size[1]}",
                    "picks": picks,
                    "seconds": own,
                    "baseline": other[0] if other else None,
                    "× baseline": other[0] / own if other else None,
                    "log_softmax": own / unit,
                    "memory": peak_bytes(select) / score.nbytes,
                    "same picks": "yes" if same(select(), loop()) else "NO",
                }
            )
    return rows


def same(regions: Regions, expected: tuple[Tensor, Tensor]) -> bool:
    """Whether the first picks are these, in this order."""
    centres, labelled = expected
    first = regions.centres[: len(centres)].cpu()
    whole = len(regions.centres) > len(centres) or torch.equal(regions.labelled, labelled)
    return torch.equal(first, centres) and whole


def acquisition_rows(quick: bool, device: torch.device) -> list[dict[str, object]]:
    """A whole image: from the logits to 1,026 picked regions."""
    size = (512, 1024) if quick else (1024, 2048)
    torch.manual_seed(0)
    # Predictions that change every 16 pixels, as those of a network do.
    coarse = torch.randn(1, 19, size[0] // 16, size[1] // 16, device=device)
    logits = F.interpolate(6 * coarse, size, mode="bilinear")
    signals = Signals(logits, radius=6 * torch.rand(1, *size, device=device))
    rows: list[dict[str, object]] = []
    for name in ("ripu", "halo"):
        (passed,) = seconds(device, partial(acquire, create(name), signals))
        rows.append({"strategy": name, "size": f"{size[0]}×{size[1]}", "ms": 1000 * passed})
    return rows


def acquire(strategy: Strategy, signals: Signals) -> Regions:
    """Score an image and pick its regions, as a round of active learning does."""
    return select_regions(strategy.score(signals)[0], 1026, radius=1)


def main() -> None:
    """Print the tables of one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--quick", action="store_true", help="small images and few cases")
    parser.add_argument("--out", type=Path, help="write the numbers to this file too, as JSON")
    arguments = parser.parse_args()
    print(f"{machine(arguments.device)}\n\n{HEADER}", end="")
    tables = {}
    for title, rows_of in (
        ("Score", score_rows),
        ("Selection: windows of radius 1, exclusion 2", selection_rows),
        ("Score and selection of 1,026 regions", acquisition_rows),
    ):
        tables[title] = rows_of(arguments.quick, arguments.device)
        print_table(title, tables[title])
    if arguments.out:
        write_json(arguments.out, {"machine": machine(arguments.device), "tables": tables})


if __name__ == "__main__":
    main()

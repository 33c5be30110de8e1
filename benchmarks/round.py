"""Where the seconds of an acquisition round go: loading, forward pass, scoring, selection, storing.

A round of `ActiveLoop` on PNG images in a folder, with its own functions timed from outside.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

import lightning as L
import torch
import yaml
from PIL import Image

from alseg.active import ActiveLoop
from alseg.data import load_label_space, open_dataset
from alseg.data.module import SegmentationDataModule
from alseg.data.scenes import render_scene
from alseg.models import Network
from alseg.runs.fit import quiet_lightning
from alseg.training.module import SegmentationModule
from benchmarks.measure import machine, print_table, write_json

PARTS = {
    "forward pass": "alseg.models.segmenter.Segmenter.forward",
    "with upsampling": "alseg.active.signals.SignalSource.look",
    "earlier rounds": "alseg.active.choosing._barred",
    "scoring": "alseg_strategies.{strategy}.score",
    "selection": "alseg.labels.regions.windows.Windows.candidates",
    "storing": "alseg.active.round.Round._label",
    "commit": "alseg.labels.store.LabelStore.commit",
}
ROUNDS = 2
CLASSES = {"ripu": "ripu.RIPU", "halo": "halo.HALO", "entropy": "entropy.Entropy"}


@contextmanager
def timed(strategy: str) -> Iterator[dict[str, float]]:
    """Time the parts of a round while the body runs."""
    seconds: dict[str, float] = defaultdict(float)

    def watched(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **options)
            seconds[part] += time.perf_counter() - started
            return result

        return call

    with ExitStack() as stack:
        for part, place in PARTS.items():
            owner, _, name = place.format(strategy=CLASSES[strategy]).rpartition(".")
            stack.enter_context(
                patch(f"{owner}.{name}", watched(part, getattr(resolve_name(owner), name)))
            )
        yield seconds


def profile(
    strategy: str, images: int, size: tuple[int, int], workers: int, folder: Path
) -> list[dict[str, object]]:
    """Hold two rounds and return what each part took."""
    target = open_dataset(f"folder:{folder / 'data.yaml'}", "train")
    module = SegmentationModule(
        target.label_space,
        network=Network(
            encoder_weights="none", head="hyperbolic" if strategy == "halo" else "linear"
        ),
        protocol="target_only",
    )
    data = SegmentationDataModule(
        target=target, workers=workers, batch_size=2, size=(64, 128), eval_size=size
    )
    loop = ActiveLoop(strategy, 0.022, rounds=ROUNDS, progress=False)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=ROUNDS,
        callbacks=[loop],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder / strategy,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    with timed(strategy) as seconds:
        trainer.fit(module, data)
    parts = {name: seconds[name] / images / ROUNDS for name in PARTS}
    forward = parts["forward pass"]
    upsampling = parts.pop("with upsampling") - forward
    own = sum(parts.values()) - forward
    total = loop.seconds["asking for labels"] / images / ROUNDS
    parts["upsampling of the logits"] = upsampling
    parts["waiting for images, and the rest"] = total - sum(parts.values())
    parts["whole round"] = total
    parts["own parts together"] = own
    return [
        {"part": name, "ms an image": 1000 * value, "of the forward pass": value / forward}
        for name, value in parts.items()
    ]


def write_pool(folder: Path, images: int, size: tuple[int, int]) -> None:
    """Write scenes as PNGs with labels, and the file that describes them."""
    for index in range(images):
        image, label = render_scene("camera", 0, index, size)
        for kind, values in (("images", image), ("labels", label)):
            path = folder / kind / "train" / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    classes = load_label_space("cityscapes19").classes
    content = {"images": "images", "labels": "labels", "classes": list(classes)}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))


def main() -> None:
    """Profile a round of each strategy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    size = (options.height, options.width)
    about = machine(torch.device("cpu"))
    print(about)
    tables = {}
    with tempfile.TemporaryDirectory() as name, quiet_lightning():
        folder = Path(name)
        write_pool(folder, options.images, size)
        for strategy in CLASSES:
            tables[strategy] = profile(strategy, options.images, size, options.workers, folder)
            print_table(
                f"{strategy}, {size[0]}×{size[1]}, {options.images} images", tables[strategy]
            )
    if options.out is not None:
        write_json(options.out, {"machine": about, "tables": tables})


if __name__ == "__main__":
    main()

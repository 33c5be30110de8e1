"""What a run was made with: versions, machine, data and weights, written when it starts."""

from __future__ import annotations

import hashlib
import logging
import platform
import subprocess
import sys
from collections.abc import Collection
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import lightning as L
import torch

from alseg.config.run import RunConfig
from alseg.data import SegmentationDataset
from alseg.distributed.processes import is_first_process
from alseg.errors import ConfigError, DatasetError
from alseg.runs.domains import Domains
from alseg.runs.folder import RunFolder
from alseg.runs.run_provenance import (
    CHOSEN,
    POOL,
    REPORTED,
    SOURCE,
    Checkout,
    Images,
    RunProvenance,
    Start,
)
from alseg.storage.durable import replace_durably

log = logging.getLogger("alseg")

DISTRIBUTIONS = (
    "alseg",
    "alseg-strategies",
    "torch",
    "lightning",
    "segmentation-models-pytorch",
    "albumentations",
    "numpy",
)

DIFF_DIGITS = 16
"""How many digits are kept of the digest of what differs from the commit."""

GIT_SECONDS = 10
"""How long git may take; on slow storage a run starts without its answer."""


def record_start(
    folder: RunFolder, config: RunConfig, domains: Domains, trainer: L.Trainer
) -> None:
    """Add what the run is made with now to its provenance; the first process does.

    Raises:
        ConfigError: It cannot be written.
    """
    if not is_first_process():
        return
    path = folder.provenance
    start = Start(
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=sys.argv,
        directory=str(Path.cwd()),
        versions=_versions(),
        checkout=_checkout(Path(__file__).resolve().parents[3]),
        platform=platform.platform(),
        devices=_devices(trainer),
        data={part: _described(images) for part, images in _parts(domains).items()},
        weights=_file(config.encoder_weights),
        init_from=_file(config.init_from),
    )
    made_with = _earlier(path).and_then(start)
    with folder.writing(path):
        replace_durably(path, made_with.encode())


def check_same_data(folder: RunFolder, domains: Domains, moved: Collection[str]) -> None:
    """Check that data that were moved are those that a run was started with.

    Args:
        folder: The folder of the run.
        domains: Its data, as they are now.
        moved: Which settings name another place than before: ``source``, ``target``.

    Raises:
        DatasetError: Names, sizes or the bytes of a file differ.
    """
    path = folder.provenance
    if not moved or not path.is_file():
        return
    try:
        known = RunProvenance.decode(path.read_text(encoding="utf-8")).first_digests()
    except (OSError, RecursionError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            f"{path} cannot be used ({error}), and it says which images the run was started with. "
            "Put the data back where they were, or restore the file from a copy."
        ) from error
    for part, images in _parts(domains).items():
        setting = "source" if part == SOURCE else "target"
        if setting in moved and part in known and data_digest(images) != known[part]:
            raise DatasetError(
                f"The images of {images.name}, split {images.split}, are not those that the run "
                f"was started with: names or sizes differ. Give --{setting} the place that the "
                "same images were moved to."
            )


def _parts(domains: Domains) -> dict[str, SegmentationDataset]:
    parts = {
        SOURCE: domains.source,
        POOL: domains.target,
        CHOSEN: domains.chosen,
        REPORTED: domains.reported,
    }
    return {part: images for part, images in parts.items() if images is not None}


def data_digest(images: SegmentationDataset) -> str:
    """Return a digest of which images a data set has, though not of their pixels.

    It is the SHA-256 of a line for each image, in their order: its id, height, width, and the size
    of its file in bytes (0 where it is no file), separated by tabs, each line ended by a newline.
    Nothing is decoded, so that thousands of images take seconds.
    """
    digest = hashlib.sha256()
    for index, name in enumerate(images.ids):
        height, width = images.size(index)
        file = images.file(index)
        size = 0 if file is None else file.stat().st_size
        digest.update(f"{name}\t{height}\t{width}\t{size}\n".encode())
    return digest.hexdigest()


def _described(images: SegmentationDataset) -> Images:
    return Images(images.name, images.split, len(images), data_digest(images))


def _file(path: str | None) -> dict[str, str] | None:
    """Return the digest of a file of weights; of weights by name there is the name alone."""
    if path is None:
        return None
    if not Path(path).is_file():
        return {"name": path}
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return {"name": path, "sha256": digest.hexdigest()}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _checkout(root: Path) -> Checkout | None:
    """Return the commit that alseg runs from, and how files differ from it; None if neither."""
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    diff = _git(root, "diff", "HEAD")
    if commit is None or diff is None:
        return None
    digest = hashlib.sha256(diff).hexdigest()[:DIFF_DIGITS] if diff else None
    return Checkout(commit.decode().strip(), bool(diff), digest)


def _git(root: Path, *arguments: str) -> bytes | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _devices(trainer: L.Trainer) -> list[str]:
    if trainer.strategy.root_device.type == "cuda":
        return [torch.cuda.get_device_name(index) for index in trainer.device_ids]
    kind = trainer.strategy.root_device.type
    return [f"{kind}: {processor_name()}, {torch.get_num_threads()} threads"]


def _earlier(path: Path) -> RunProvenance:
    """Return the starts so far; a file that cannot be read is put aside, and the run goes on."""
    if not path.exists():
        return RunProvenance()
    try:
        return RunProvenance.decode(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
        aside = path.with_name(f"unreadable-{path.name}")
        log.warning("%s cannot be read (%s); it is kept as %s.", path, error, aside.name)
        path.replace(aside)
        return RunProvenance()


def processor_name(table: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor, which on Linux Python itself does not know.

    Args:
        table: Where Linux lists the processors.
    """
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

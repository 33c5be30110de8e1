"""Times, memory and tables for the benchmarks."""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from alseg.runs.provenance import processor_name


def seconds(device: torch.device, *functions: Callable[[], object]) -> list[float]:
    """Time functions in turn, again and again, and take the best time of each.

    Taking turns makes what else the machine does fall on all of them alike. Four to 20 times, as
    many as fit into two seconds; what takes longer than five seconds is timed once.
    """
    times = [[_once(device, function)] for function in functions]
    again = [
        (column, function)
        for column, function in zip(times, functions, strict=True)
        if column[0] <= 5
    ]
    start = time.perf_counter()
    for number in range(19):
        if number >= 3 and time.perf_counter() - start > 2:
            break
        for column, function in again:
            column.append(_once(device, function))
    return [min(column) for column in times]


def _once(device: torch.device, function: Callable[[], object]) -> float:
    _wait_for(device)
    start = time.perf_counter()
    result = function()
    _wait_for(device)
    passed = time.perf_counter() - start
    # Freed after the clock has stopped.
    del result
    return passed


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(function: Callable[[], object]) -> int:
    """The most bytes of tensors that were alive at a time while the function ran.

    Counted is what the operators return, on every device, the function's own result included;
    not what was there before, and not what an operator takes and frees within itself.
    """
    with _Storages() as storages:
        function()
    return storages.peak


class _Storages(TorchDispatchMode):
    """The bytes of every storage that was made since, while it lives."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int | None] = {}
        self.alive = self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            self._watch(tensor, None)
        result = func(*args, **kwargs)
        for tensor in _tensors(result):
            key = self._watch(tensor, 0)
            size = self.sizes[key]
            if size is not None:
                # An operator that is given where to write to may make it larger.
                self.sizes[key] = tensor.untyped_storage().nbytes()
                self.alive += tensor.untyped_storage().nbytes() - size
        self.peak = max(self.peak, self.alive)
        return result

    def _watch(self, tensor: Tensor, size: int | None) -> int:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key not in self.sizes:
            self.sizes[key] = size
            weakref.finalize(storage, self._forget, key)
        return key

    def _forget(self, key: int) -> None:
        self.alive -= self.sizes.pop(key) or 0


def _tensors(tree: object) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for branch in tree:
            yield from _tensors(branch)
    elif isinstance(tree, dict):
        yield from _tensors(tuple(tree.values()))


def machine(device: torch.device) -> str:
    """The processor, its cores, torch and the device in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = [
        processor_name(),
        f"{cores} cores, {torch.get_num_threads()} threads",
        f"torch {torch.__version__}",
        torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    ]
    return ", ".join(words)


def print_table(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Print rows of the same keys below one another, the keys above them; None is "-"."""
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}")
    for line in lines:
        cells = zip(line, widths, strict=True)
        print("  ".join(cell.rjust(width) for cell, width in cells), flush=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and value < 1000 else _whole(value)


def _whole(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def write_json(path: Path, content: object) -> None:
    """Write what was measured, for another program."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

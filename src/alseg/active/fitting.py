"""A strategy's look at the whole source and pool before a round, an image at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch.plugins import Precision

from alseg.active.request import RoundRequest
from alseg.active.scores import signals_of
from alseg.distributed import ranks
from alseg.training.module import SegmentationModule
from alseg_strategies import Signals, Strategy
from alseg_strategies.signals import signal_names


@dataclass(frozen=True)
class SignalStream:
    """The signals of the images of all ranks, in the order of their data set, on every rank.

    Each pass over it computes them again, an image of each rank at a time, so that no more than
    these are in memory. Every rank makes as many passes, each to the same image.

    Attributes:
        module: The network, in evaluation mode.
        load: Returns what loads the images of this rank, for one pass: the r-th of n ranks has
            those of the indices r, r + n, r + 2n and so on.
        ids: The names of all images.
        wanted: The names of the signals.
        precision: What the network computes in; None is that of its weights.
    """

    module: SegmentationModule
    load: Callable[[], Iterable[dict[str, Any]]]
    ids: Sequence[str]
    wanted: frozenset[str]
    precision: Precision | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Signals]:
        # At the network's own resolution: what travels between ranks stays small.
        mine = signals_of(
            self.module, self.load(), self.ids, self.wanted, self.precision, resized=False
        )
        on_cpu = (_on_cpu(signals) for _, signals in mine)
        seen = 0
        while seen < len(self):
            for signals in ranks.gather(next(on_cpu, None)):
                if signals is not None:
                    seen += 1
                    yield signals


def fit_strategy(
    strategy: Strategy, request: RoundRequest, source: Iterable[Signals], pool: Iterable[Signals]
) -> None:
    """Let a strategy look at source and pool, where it wants to; every rank calls it.

    Args:
        strategy: The strategy.
        request: What the round asks for; what the strategy draws follows from its seed and number.
        source: The signals of the source's images; nothing where there is no source.
        pool: The signals of the pool's images.
    """
    if type(strategy).fit is Strategy.fit:
        return
    seed = np.random.SeedSequence([request.seed, request.number]).generate_state(1)
    strategy.fit(source, pool, torch.Generator().manual_seed(int(seed[0])))
    # Ranks may compute on devices that round in other ways; what is scored by has to be the same.
    vars(strategy).update(ranks.gather(vars(strategy) if ranks.is_first() else None)[0])


def _on_cpu(signals: Signals) -> Signals:
    there: dict[str, Any] = {
        name: getattr(signals, name).cpu()
        for name in signal_names()
        if getattr(signals, name) is not None
    }
    return replace(signals, **there)

"""A strategy's look at the whole source and pool before a round, an image at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import numpy as np
import torch

from alseg.active.request import RoundRequest
from alseg.active.signals import SignalSource, signals_of
from alseg.data.base import Pool
from alseg.distributed import ranks
from alseg.errors import ConfigError
from alseg.labels import LabelStore
from alseg_strategies import Signals, Strategy
from alseg_strategies.signals import signal_names

FIT = (1,)
"""Keeps the draws of a fit apart from those of the images, whose seeds have no key."""

SHARES = (
    "Each image comes once: of n processes the r-th loads the images r, r + n, r + 2n and so on, "
    "as alseg.data.evaluation.pool_loader has it."
)


@dataclass(frozen=True)
class SignalStream:
    """The signals of the images of all ranks, in the order of their data set, on every rank.

    Each pass over it computes them again, an image of each rank at a time, so that no more than
    these are in memory, unless a loader has another order: what comes early waits for its turn.
    Every rank makes as many passes, each to the same image.

    Attributes:
        source: Shows what the network makes of images.
        load: Returns what loads the images of this rank, for one pass: the r-th of n ranks has
            those of the indices r, r + n, r + 2n and so on.
        images: All images.
        wanted: The names of the signals.
    """

    source: SignalSource
    load: Callable[[], Iterable[Mapping[str, Any]]]
    images: Pool
    wanted: frozenset[str]

    def __len__(self) -> int:
        return len(self.images.ids)

    def __iter__(self) -> Iterator[Signals]:
        # At the network's own resolution: what travels between ranks stays small.
        mine = signals_of(self.source, self.load(), self.images, self.wanted, resized=False)
        on_cpu = ((index, _on_cpu(signals)) for index, signals in mine)
        turn, early = 0, dict[int, Signals]()
        while any(found := ranks.gather(next(on_cpu, None))):
            for index, signals in filter(None, found):
                if index < turn or index in early:
                    raise ConfigError(
                        f"The loaders of all processes yielded {self._say([index])} twice. {SHARES}"
                    )
                early[index] = signals
            while turn in early:
                yield early.pop(turn)
                turn += 1
        if turn < len(self):
            absent = [index for index in range(turn, len(self)) if index not in early]
            raise ConfigError(
                f"A strategy is to look at {len(self)} images, and the loaders of all processes "
                f"did not yield {self._say(absent)}. {SHARES}"
            )

    def _say(self, indices: Sequence[int]) -> str:
        names = ", ".join(self.images.ids[index] for index in indices[:3])
        more = f" and {len(indices) - 3} more" if len(indices) > 3 else ""
        return f"the image{'' if len(indices) == 1 else 's'} {names}{more}"


def fit_strategy(
    strategy: Strategy,
    request: RoundRequest,
    store: LabelStore,
    source: Iterable[Signals],
    pool: Iterable[Signals],
) -> None:
    """Let a strategy look at source and pool, where it wants to; every rank calls it.

    Args:
        strategy: The strategy.
        request: What the round asks for; what the strategy draws follows from its seed and number.
        store: The label store, which says what earlier rounds asked for.
        source: The signals of the source's images; nothing where there is no source.
        pool: The signals of the pool's images.

    Raises:
        ConfigError: The strategy is a frozen dataclass and stores what it learnt.
    """
    if type(strategy).fit is Strategy.fit:
        return
    # What is drawn here has nothing to do with what is drawn when an image is scored.
    drawn = np.random.SeedSequence([request.seed, request.number], spawn_key=FIT)
    generator = torch.Generator().manual_seed(int(drawn.generate_state(1)[0]))
    view = request.view(store)
    try:
        strategy.fit(source, pool, generator=generator, round=view)
    except FrozenInstanceError as error:
        raise ConfigError(
            f"The strategy {request.strategy} is a frozen dataclass, and its fit stores what it "
            f"learnt ({error}). Leave frozen=True out."
        ) from error
    # Ranks may compute on devices that round in other ways; what is scored by has to be the same.
    vars(strategy).update(ranks.gather(vars(strategy) if ranks.is_first() else None)[0])


def _on_cpu(signals: Signals) -> Signals:
    there: dict[str, Any] = {
        name: getattr(signals, name).cpu()
        for name in signal_names()
        if getattr(signals, name) is not None
    }
    return replace(signals, **there)

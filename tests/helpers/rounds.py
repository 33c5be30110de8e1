"""Rounds of acquisition on score maps, by one process, by threads or by a process group."""

import os
import threading

import numpy as np
import pytest
import torch
from torch import distributed

from alseg.active import OracleAnnotator, Round, RoundRequest
from alseg.active.choosing import Scored
from alseg.config.budget import Budget
from alseg.distributed import ranks
from alseg.labels import LabelStore, PoolImage, Windows

CASES = [
    (scope, budget, images)
    for scope in ("image", "pool")
    for budget in ("5%", "7 regions", "60%")
    for images in (1, 2, 7)
]
# One process is told nothing by a launcher.
WORLD = (("RANK", "0"), ("WORLD_SIZE", "1"))


def hold_round(
    store, scores, annotator, *, number, rounds, budget, region=None, scope="image", further=None
):
    """Hold a round on score maps, given as pairs of pool index and map, and return its result."""
    request = RoundRequest(
        number, rounds, Budget.parse(budget), Windows() if region is None else region, scope
    )
    scored = (
        Scored(index, score, torch.zeros(1).expand(2, *score.shape)) for index, score in scores
    )
    return Round(request, store, annotator, further or {}).hold(scored).result


def by_threads(count, work):
    """Call ``work`` with each rank in a thread of its own; these gather as processes do.

    Returns what each returned; what the first to fail raised is raised again.
    """
    barrier, own = threading.Barrier(count), threading.local()
    slots, results, errors = [None] * count, [None] * count, []

    def gather(mine):
        slots[own.rank] = mine
        barrier.wait()
        everyone = list(slots)
        barrier.wait()
        return everyone

    def run(rank):
        own.rank = rank
        try:
            results[rank] = work(rank)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "gather", gather)
        patch.setattr(ranks, "place", lambda: (own.rank, count))
        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        # Those that waited for the one that failed have nothing to say.
        raise min(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError))
    return results


def hold_rounds(folder):
    """Hold two rounds of every case; the answer of a pixel is told by where it is."""
    rank, count = (int(os.environ.get(name, default)) for name, default in WORLD)
    distributed.init_process_group("gloo", rank=rank, world_size=count)
    for number, (scope, budget, images) in enumerate(CASES):
        size = (24 + number, 31)
        truth = np.add.outer(np.arange(size[0]) // 3, np.arange(size[1]) // 5) % 4
        truth = np.where(truth == 3, 255, truth).astype(np.uint8)
        pool = [PoolImage(f"street/{index}", *size) for index in range(images)]
        home = folder / f"{number}"
        if rank == 0:
            LabelStore.create(home, pool, ["road", "sky", "car"])
        ranks.gather(None)
        store = LabelStore.open(home)
        for round_number in (1, 2):
            hold_round(
                store,
                ((index, _scores(index, round_number, size)) for index in _share(images)),
                OracleAnnotator(lambda _, answers=truth: answers),
                number=round_number,
                rounds=2,
                budget=budget,
                scope=scope,
                further={"case": number},
            )
    assert ranks.gather(rank) == list(range(count))
    distributed.destroy_process_group()


def _share(images):
    return range(distributed.get_rank(), images, distributed.get_world_size())


def _scores(index, round_number, size):
    # Few levels, so that many pixels of many images tie.
    levels = np.random.default_rng([index, round_number]).integers(0, 9, size)
    return torch.from_numpy(levels / 8.0)

"""Rounds of acquisition on random scores by the ranks of a process group."""

import os

import numpy as np
import torch
from torch import distributed

from alseg.active import OracleAnnotator, acquire_round
from alseg.config.budget import Budget
from alseg.distributed import ranks
from alseg.labels import LabelStore, PoolImage

CASES = [
    (scope, budget, images)
    for scope in ("image", "pool")
    for budget in ("5%", "7 regions", "60%")
    for images in (1, 2, 7)
]
# One process is told nothing by a launcher.
WORLD = (("RANK", "0"), ("WORLD_SIZE", "1"))


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
            with ranks.together():
                if rank == 0:
                    store.stage(round_number)
                ranks.gather(None)
                result = acquire_round(
                    ((index, _scores(index, round_number, size)) for index in _share(images)),
                    store,
                    budget=Budget.parse(budget),
                    round_number=round_number,
                    rounds=2,
                    radius=1,
                    scope=scope,
                    annotator=OracleAnnotator(lambda _, answers=truth: answers),
                    gather=ranks.gather,
                )
                ranks.gather(None)
                if rank == 0:
                    store.commit(round_number, {"case": number}, result.images)
    assert ranks.gather(rank) == list(range(count))
    distributed.destroy_process_group()


def _share(images):
    return range(distributed.get_rank(), images, distributed.get_world_size())


def _scores(index, round_number, size):
    # Few levels, so that many pixels of many images tie.
    levels = np.random.default_rng([index, round_number]).integers(0, 9, size)
    return torch.from_numpy(levels / 8.0)

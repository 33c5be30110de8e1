"""The batches of training and evaluation, and the processes that load them."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.toys import Toy
from torch.utils.data import DataLoader, Dataset

from alseg.data.evaluation import EvaluationSamples, ShardSampler
from alseg.data.stream import StepSampler, TrainingSamples, TrainingStream
from alseg.data.transforms import TrainTransform
from alseg.data.workers import killed_in_words


@given(
    count=st.integers(1, 20),
    batch=st.integers(1, 5),
    world=st.integers(1, 4),
    steps=st.integers(1, 12),
)
def test_ranks_together_pass_through_the_whole_domain_before_they_repeat(
    count, batch, world, steps
):
    samplers = [
        list(StepSampler(count, batch, 3, 0, steps, rank=rank, world_size=world))
        for rank in range(world)
    ]
    seen = [
        key[0] for step in range(steps) for rank in range(world) for key in samplers[rank][step]
    ]
    for start in range(0, len(seen) - count + 1, count):
        assert sorted(seen[start : start + count]) == list(range(count))


@given(first=st.integers(0, 9))
def test_a_resumed_run_sees_what_the_run_that_was_never_stopped_sees(first):
    whole = list(StepSampler(7, 3, 1, 0, 10))
    assert list(StepSampler(7, 3, 1, first, 10)) == whole[first:]


def test_samples_of_one_image_are_augmented_differently_each_time():
    seeds = [seed for keys in StepSampler(1, 4, 0, 0, 25) for _, seed, _ in keys]
    assert len(set(seeds)) == 100


@given(count=st.integers(0, 30), world=st.integers(1, 6))
def test_shards_hold_every_image_once(count, world):
    shards = [list(ShardSampler(count, rank, world, at_least_one=False)) for rank in range(world)]
    assert sorted(index for one in shards for index in one) == list(range(count))


def test_a_rank_without_images_evaluates_one_void_image():
    assert list(ShardSampler(2, 2, 3, at_least_one=True)) == [-1]
    sample = EvaluationSamples(Toy(2), None)[-1]
    assert (sample["label"] == 255).all()


class RoundLabels:
    """Labels that say which round they are of."""

    def label(self, image_id, up_to_round=None):
        return np.full((32, 48), up_to_round, dtype=np.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_refreshed_stream_serves_no_batch_of_the_old_round(workers):
    samples = TrainingSamples(Toy(5), TrainTransform(None, augment="none"), RoundLabels())
    step = 0
    stream = TrainingStream({"target": samples}, 2, 0, 12, step=lambda: step, workers=workers)
    stream.label_round = 1
    seen = []
    for batch in stream:
        seen.append(batch["target"]["label"].unique().tolist())
        step += 1
        if step in (4, 5):
            stream.refresh(stream.label_round + 1)
    assert seen == [[1]] * 4 + [[2]] + [[3]] * 7


def test_before_the_first_round_no_target_pixel_has_a_label():
    target = Toy(2)
    samples = TrainingSamples(target, TrainTransform(None, augment="none"), RoundLabels())
    assert (samples[(0, 1, 0)]["label"] == 255).all()
    assert target.labels_read == 0


def test_evaluation_keeps_labels_at_their_own_resolution():
    sample = EvaluationSamples(Toy(1), (16, 24))[0]
    assert sample["image"].shape == (3, 16, 24)
    assert torch.equal(sample["label"], torch.from_numpy(Toy(1).label(0).astype(np.int64)))


def batches(first=0, last=6, batch=4, workers=0, rank=0, world=1):
    """The target's batches with a view, of images with labels."""
    transform = TrainTransform(
        None, crop=(20, 30), views={"other": "strong"}, random_scale=[0.5, 2.0]
    )
    samples = TrainingSamples(Toy(5), transform)
    place = {"rank": rank, "world_size": world}
    stream = TrainingStream(
        {"target": samples}, batch, 7, last, step=lambda: first, workers=workers, **place
    )
    return [batch["target"] for batch in stream]


def flat(batch):
    return {**batch, **{f"other/{name}": part for name, part in batch["views"]["other"].items()}}


def the_same(some, others):
    return len(some) == len(others) and all(
        torch.equal(one[name], other[name])
        for one, other in zip(map(flat, some), map(flat, others), strict=True)
        for name in flat(one).keys() - {"views"}
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_views_do_not_depend_on_the_number_of_workers(workers):
    assert the_same(batches(workers=workers), batches())


@pytest.mark.parametrize("first", [1, 4])
def test_a_resumed_run_sees_the_same_views(first):
    assert the_same(batches(first), batches()[first:])


def test_two_processes_see_the_views_that_one_sees():
    of_ranks = zip(*(batches(batch=2, rank=rank, world=2) for rank in range(2)), strict=True)
    for whole, halves in zip(batches(), of_ranks, strict=True):
        parts = [flat(half) for half in halves]
        for name in parts[0].keys() - {"views"}:
            assert torch.equal(flat(whole)[name], torch.cat([part[name] for part in parts]))
        assert {"other/image", "other/label", "other/geometry"} < parts[0].keys()


class Killed(Dataset):
    """Ends the process that loads it, as the system does where memory runs out."""

    def __init__(self, by):
        self.by = by

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), self.by)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (signal.SIGKILL, "was killed.*memory ran out.*--workers"),
        (signal.SIGBUS, "(shared memory|was killed).*--workers"),
        (signal.SIGTERM, "was killed"),
    ],
)
def test_what_pytorch_raises_is_said_in_words(by, words):
    with pytest.raises(RuntimeError, match="DataLoader worker") as error:
        list(DataLoader(Killed(by), num_workers=1))
    said = killed_in_words(error.value)
    assert said is not None
    assert re.search(words, said)
    assert "\n" not in said


def test_shared_memory_that_ran_out_is_distinguished_from_memory():
    error = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible")
    assert "/dev/shm" in killed_in_words(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), ValueError("DataLoader worker (pid 7) exited")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert killed_in_words(error) is None


SCRIPT = """
import os
import subprocess
from torch.utils.data import DataLoader
from alseg.data.workers import one_thread

class Where:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return os.getpid()

batches = iter(DataLoader(Where(), num_workers=1, worker_init_fn=one_thread, prefetch_factor=1))
for _ in range(3):
    pid = int(next(batches))
    subprocess.run(["kill", "-TERM", str(pid)], check=True)
    subprocess.run(["kill", "-INT", str(pid)], check=True)
print("loaded", pid != os.getpid())
"""


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="no such call on this system")
def test_a_loading_process_ends_with_its_parent_and_by_no_other_signal():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "loaded True\n"), done.stderr

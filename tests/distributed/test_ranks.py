import os
import signal

import lightning as L
import pytest
from tests.helpers.processes import Ranks
from tests.helpers.toys import SPACE, Toy, quiet_trainer
from torch import distributed

from alseg.active import ActiveLoop
from alseg.data.module import SegmentationDataModule
from alseg.distributed import ranks
from alseg.distributed.stop_together import StopTogether
from alseg.errors import LabelStoreError, RankError
from alseg.models import Network
from alseg.training.module import SegmentationModule


def test_a_single_process_gathers_what_it_says():
    with ranks.together():
        assert ranks.gather("alone") == ["alone"]
    with pytest.raises(ValueError, match="mine"), ranks.together():
        raise ValueError("mine")


def fail_if(condition):
    if condition:
        raise LabelStoreError("the disk is full")


def exchange():
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    with ranks.together():
        assert ranks.gather(10 * rank) == [0, 10, 20]
    for failing in range(3):
        for place in ("before", "between", "after"):
            if rank == failing:
                expected = pytest.raises(LabelStoreError, match="the disk is full")
            else:
                words = f"Rank {failing} failed: the disk is full"
                expected = pytest.raises(RankError, match=f"^{words}$")
            with expected, ranks.together():
                fail_if(rank == failing and place == "before")
                ranks.gather(None)
                fail_if(rank == failing and place == "between")
                ranks.gather(None)
                fail_if(rank == failing and place == "after")
    assert ranks.gather(rank) == [0, 1, 2]
    distributed.destroy_process_group()


def test_a_failure_of_one_rank_is_raised_in_all_and_they_can_go_on(tmp_path):
    started = Ranks(exchange, ranks=3, folder=tmp_path)
    assert started.wait() == [0, 0, 0], started.said()


WORDS = "the camera is upside down"


class Failing(L.Callback):
    """Fails on one rank at one place, with an exception or by being killed."""

    def __init__(self, place, rank, killed):
        self.place, self.rank, self.killed = place, rank, killed

    def at(self, place, rank):
        if (place, rank) == (self.place, self.rank):
            if self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError(WORDS)

    def on_train_batch_end(self, trainer, *rest):
        self.at("training", trainer.global_rank)

    def on_test_batch_end(self, trainer, *rest):
        self.at("testing", trainer.global_rank)


def train_and_test(folder, place, rank, killed):
    failing = Failing(place, rank, killed)

    class Failed(SegmentationModule):
        def signals(self, *arguments):
            failing.at("scoring", self.trainer.global_rank)
            return super().signals(*arguments)

    loop = ActiveLoop("entropy", 0.05, rounds=1, progress=False, store=folder / "labels")
    stop = StopTogether(grace=1.0, interval=0.2)
    runner = quiet_trainer(folder, 4, callbacks=[stop, failing, loop], devices=2, strategy="ddp")
    network = Failed(SPACE, network=Network(encoder_weights="none"))
    images = SegmentationDataModule(
        source=Toy(4, seed=1), target=Toy(4), test=Toy(4, split="test"), batch_size=2
    )
    runner.fit(network, images)
    runner.test(network, images, verbose=False)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("place", ["scoring", "training", "testing"])
def test_an_exception_on_one_rank_ends_all_with_its_message(tmp_path, place, rank):
    started = Ranks(train_and_test, tmp_path, place, rank, False, ranks=2, folder=tmp_path / "logs")
    assert all(started.wait(60)), started.said()
    for log in started.logs:
        assert WORDS in log.read_text(), started.said()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_takes_the_others_along(tmp_path, rank):
    started = Ranks(
        train_and_test, tmp_path, "training", rank, True, ranks=2, folder=tmp_path / "logs"
    )
    codes = started.wait(60)
    assert codes[rank] == -signal.SIGKILL
    assert all(codes), started.said()

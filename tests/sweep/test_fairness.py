"""What runs of one seed share, whatever they ask for."""

import json

import lightning as L
import pytest
import torch
import yaml
from tests.helpers.toys import TINY, Toy, quiet_trainer

from alseg.active import ActiveLoop
from alseg.cli.main import main
from alseg.cli.sweep import checker
from alseg.data.module import SegmentationDataModule
from alseg.models import Network
from alseg.sweep.matrix import read_matrix
from alseg.sweep.plan import plan_runs
from alseg.training.module import SegmentationModule


class Batches(L.Callback):
    """Keeps what every step is trained on."""

    def __init__(self):
        self.images, self.source_labels, self.target_labels = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.images += [batch["source"]["image"].clone(), batch["target"]["image"].clone()]
        self.source_labels.append(batch["source"]["label"].clone())
        self.target_labels.append(batch["target"]["label"].clone())


@pytest.fixture
def batches(tmp_path):
    def of(strategy, seed, budget):
        source, target = Toy(5), Toy(4, shift=20, seed=1)
        data = SegmentationDataModule(
            source=source, target=target, augmentation="strong", batch_size=2, seed=seed
        )
        head = "hyperbolic" if strategy == "halo" else "linear"
        module = SegmentationModule(
            target.label_space, network=Network(encoder_weights="none", head=head), seed=seed
        )
        store = tmp_path / f"{strategy}-{seed}-{budget}"
        loop = ActiveLoop(strategy, budget, rounds=2, seed=seed, store=store, progress=False)
        kept = Batches()
        quiet_trainer(tmp_path, 6, callbacks=[loop, kept]).fit(module, data)
        return kept

    return of


def same(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_strategies_of_one_seed_see_the_same_images_in_the_same_order(batches):
    ripu, halo = batches("ripu", 3, 0.02), batches("halo", 3, 0.05)
    assert len(ripu.images) == 2 * 6
    assert same(ripu.images, halo.images)
    assert same(ripu.source_labels, halo.source_labels)
    # What was asked for is all that differs.
    assert not same(ripu.target_labels, halo.target_labels)


def test_another_seed_sees_other_batches(batches):
    assert not same(batches("random", 3, 0.02).images, batches("random", 4, 0.02).images)


def test_a_run_begins_where_the_shared_start_ended(tmp_path):
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text("strategies: [random]\nbudgets: [0.02]\nseeds: [5]\n")
    # Fewer steps leave statistics of the batches in which every class is one and the same.
    tiny = {**yaml.safe_load(TINY), "steps": 2, "warm_start_steps": 10}
    start, run = plan_runs(read_matrix(matrix), tiny, tmp_path / "out", checker())
    assert main(["fit", *start.arguments]) == 0
    assert main(["fit", *run.arguments]) == 0
    figures = [json.loads((one.folder / "summary.json").read_text()) for one in (start, run)]
    assert figures[0]["after"] != figures[0]["before"]
    assert figures[1]["before"] == figures[0]["after"]
    assert figures[1]["seconds"].keys() == {
        "evaluation",
        "training",
        "asking for labels",
        "analysis",
    }

"""A checkpoint whose network answers the same class everywhere, for tests of the commands."""

import lightning as L
import pytest
import torch

from alseg.data import load_label_space
from alseg.models import Network
from alseg.training.module import SegmentationModule

CLASS = 3


@pytest.fixture(scope="session")
def constant_checkpoint(tmp_path_factory):
    module = SegmentationModule(
        load_label_space("camvid11"),
        network=Network(encoder_weights="none"),
        protocol="source_only",
    )
    classifier = module.segmenter.head.classifier
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.copy_(torch.nn.functional.one_hot(torch.tensor(CLASS), 11).float())
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    return path

"""Evaluation of a trained module on a data set, in plain PyTorch."""

from __future__ import annotations

import torch
from torchmetrics.classification import MulticlassConfusionMatrix
from tqdm import tqdm

from alseg.data.base import SegmentationDataset
from alseg.data.evaluation import evaluation_loader
from alseg.data.label_space import IGNORE
from alseg.distributed import interruption
from alseg.training.metrics import SegmentationScores
from alseg.training.modes import evaluating
from alseg.training.module import SegmentationModule


@torch.no_grad()
def evaluate(
    module: SegmentationModule,
    dataset: SegmentationDataset,
    *,
    workers: int = 0,
    progress: bool = True,
) -> SegmentationScores:
    """Return the scores of a module on every image of a data set, at label resolution.

    Args:
        module: On the device to compute on.
        dataset: Labelled images in the module's label space.
        workers: Loading processes.
        progress: Show a progress bar.

    Raises:
        ConfigError: The images have another number of channels than the network takes.
        DatasetError: The data set has no labels or one of them cannot be used.
    """
    module.check_channels(dataset.channels, f"{dataset.name} {dataset.split}")
    confusion = MulticlassConfusionMatrix(
        len(module.label_space), ignore_index=IGNORE, validate_args=False
    ).to(module.device)
    loader = evaluation_loader(dataset, module.eval_size, workers=workers)
    with evaluating(module):
        for batch in tqdm(loader, desc="evaluating", unit="image", disable=not progress):
            interruption.check()
            for image, label in zip(batch["image"], batch["label"], strict=True):
                prediction = module.labels(image[None].to(module.device), tuple(label.shape))
                confusion.update(prediction, label[None].to(module.device))
    return SegmentationScores(confusion.compute().cpu())

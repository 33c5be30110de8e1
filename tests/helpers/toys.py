"""Small data sets in memory whose pixels tell which image and where they are."""

import lightning as L
import numpy as np

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import IGNORE, LabelSpace

SPACE = LabelSpace("toy", ("left", "right", "bottom"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))

TINY = """\
source: scenes:sim
source_options: {size: [48, 64], count: 6}
target: scenes:dusk
target_options: {size: [48, 64], count: 5}
encoder_weights: none
batch_size: 2
workers: 0
steps: 4
warm_start_steps: 2
rounds: 2
budget: 0.02
pictures: 1
progress: false
accelerator: cpu
"""
"""The settings of a run of `alseg fit` that takes seconds."""


class Toy(SegmentationDataset):
    """Images of three flat areas; the colours are those of the classes, with noise."""

    def __init__(self, count, size=(32, 48), *, split="train", seed=0, labels=True, shift=0):
        self.name, self.split, self.label_space = "toy", split, SPACE
        self.ids = [f"{split}-{index:03d}" for index in range(count)]
        self.has_labels = labels
        self._size, self._seed, self._shift = size, seed, shift
        self.labels_read = 0

    def size(self, index):
        return self._size

    def _classes(self, index):
        height, width = self._size
        rng = np.random.default_rng([self._seed, index])
        column = rng.integers(width // 4, 3 * width // 4)
        row = rng.integers(height // 2, 3 * height // 4)
        classes = np.zeros(self._size, dtype=np.uint8)
        classes[:, column:] = 1
        classes[row:] = 2
        return classes

    def image(self, index):
        rng = np.random.default_rng([self._seed, index, 1])
        colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]]) + self._shift
        noise = rng.normal(0, 20, (*self._size, 3))
        return np.clip(colours[self._classes(index)] + noise, 0, 255).astype(np.uint8)

    def label(self, index):
        if not self.has_labels:
            raise self._no_labels()
        self.labels_read += 1
        label = self._classes(index)
        label[0, 0] = IGNORE
        return label


def quiet_trainer(folder, steps, **settings):
    """Return a trainer on the CPU that neither logs nor saves nor shows anything."""
    return L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )

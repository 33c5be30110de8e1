"""Pictures of what a round saw and picked, on disk and in the loggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, WandbLogger
from torch import Tensor

from alseg.config.run_files import round_name
from alseg.data import SegmentationDataset
from alseg.labels import LabelStore
from alseg.runs.folder import RunFolder
from alseg.runs.pictures import picks_picture, save_png, score_picture


@dataclass
class RoundPictures:
    """Writes image, score and picks of a few pool images side by side, for every round.

    Attributes:
        pool: The pool.
        folder: The run's folder.
        count: Number of images to picture.
        loggers: Loggers that the pictures are also sent to.
    """

    pool: SegmentationDataset
    folder: RunFolder
    count: int
    loggers: Sequence[Logger] = field(default_factory=list)

    def __call__(self, number: int, result: Any, scores: Mapping[int, Tensor]) -> None:
        """Picture the images whose score maps were kept."""
        store = LabelStore.open(self.folder.labels)
        shown = []
        for index, score in list(scores.items())[: self.count]:
            image_id = self.pool.ids[index]
            image = self.pool.display(index)
            heat = score_picture(score.float().numpy())
            rounds = store.round_map(image_id)
            picks = picks_picture(image, rounds > 0, rounds == number)
            path = self.folder.pictures / round_name(number) / f"{image_id}.png"
            with self.folder.writing(path):
                save_png(path, np.concatenate([image, heat, picks], axis=1))
            shown.append((image_id, image, heat, picks))
        for logger in self.loggers:
            if isinstance(logger, WandbLogger):
                # Takes a second to import, which runs without it need not wait for.
                from alseg.runs.wandb_round import Picture, log_round

                log_round(logger, number, [Picture(*parts) for parts in shown], store)

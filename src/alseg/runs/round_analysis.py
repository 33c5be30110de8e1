"""What the report wants to know of a round and nobody can tell afterwards."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from alseg.active.signals import SignalSource
from alseg.config.run_files import round_name
from alseg.data import SegmentationDataset
from alseg.data.transforms import eval_transform
from alseg.errors import DatasetError
from alseg.labels import LabelStore
from alseg.models import HyperbolicHead
from alseg.models.poincare import RIM
from alseg.runs.analysis import SAMPLE, Sums, added, network_sums, pick_sums, place_sums
from alseg.runs.folder import RunFolder
from alseg.runs.pictures import RGB, picks_picture, score_picture
from alseg.runs.round_evidence import RoundEvidence
from alseg.storage.durable import replace_durably
from alseg.training.modes import evaluating
from alseg.training.module import SegmentationModule

WIDTH = 240
"""Of the small pictures, in pixels."""

ERROR = np.array([220, 30, 30])


@dataclass
class RoundAnalysis:
    """Writes down where a round's picks fell and what the network was like that made them.

    It shows some images to the network again, and looks at the labels of the pool where there are
    any: never before the picks are made.

    Attributes:
        pool: The pool.
        folder: The run's folder.
        module: The network.
    """

    pool: SegmentationDataset
    folder: RunFolder
    module: SegmentationModule

    def __call__(self, number: int, result: Any, scores: Mapping[int, Tensor]) -> None:
        """Analyse a round, and picture the images whose score maps were kept."""
        store = LabelStore.open(self.folder.labels)
        sample = np.linspace(0, len(self.pool) - 1, min(SAMPLE, len(self.pool))).astype(int)
        sums: Sums = {}
        for index in sample.tolist():
            sums = added(sums, self._sums(number, index, store))
        images = [self._pictures(number, *kept, store) for kept in scores.items()]
        classes = tuple(self.pool.label_space.classes)
        evidence = RoundEvidence(number, classes, self._rim, tuple(images), sums)
        path = self.folder.analysis / f"{round_name(number)}.json"
        with self.folder.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(path, evidence.encode())

    def _sums(self, number: int, index: int, store: LabelStore) -> Sums:
        """Return what was picked in an image, where, and what the network made of it before."""
        classes, image_id = len(self.pool.label_space), self.pool.ids[index]
        picked = store.round_map(image_id, number) == number
        sums = pick_sums(store.label(image_id, number), picked, classes)
        truth = self._truth(index)
        if truth is None:
            return sums
        prediction, maps = self._look(index)
        sums |= place_sums(truth, picked, classes)
        return sums | network_sums(truth, picked, prediction, maps, classes, self._rim)

    def _truth(self, index: int) -> NDArray[np.uint8] | None:
        if not self.pool.has_labels:
            return None
        try:
            return self.pool.label(index)
        except DatasetError:
            # Where people answer, some images may have labels and others none.
            return None

    @property
    def _rim(self) -> float | None:
        head = self.module.evaluated.head
        if not isinstance(head, HyperbolicHead):
            return None
        return 2 * math.atanh(1 - RIM) / math.sqrt(head.curvature)

    @torch.no_grad()
    def _look(self, index: int) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.floating]]]:
        """Return what the network takes each pixel of an image for, and its maps by name."""
        module = self.module
        image, size = self.pool.image(index), self.pool.size(index)
        wanted, shown = ("logits", "radius", "embeddings"), eval_transform(image, module.eval_size)
        with evaluating(module):
            signals = SignalSource(module).look(shown, self.pool.ids[index], wanted, size)
            assert signals.embeddings is not None
            norm = _norm(module.evaluated.head, signals.embeddings)
        logarithms = signals.logits[0].float().log_softmax(0)
        entropy = -(logarithms.exp() * logarithms).sum(0) / math.log(len(logarithms))
        norm = functional.interpolate(norm, size=size, mode="bilinear", align_corners=False)
        maps = {"entropy": entropy, "norm": norm[0, 0]}
        if signals.radius is not None:
            maps["radius"] = signals.radius[0]
        prediction = logarithms.argmax(0).to(torch.uint8).cpu().numpy()
        return prediction, {name: values.float().cpu().numpy() for name, values in maps.items()}

    def _pictures(
        self,
        number: int,
        index: int,
        score: Tensor,
        store: LabelStore,
    ) -> tuple[str, dict[str, str]]:
        """Write the small pictures of an image, and return its name and theirs."""
        image_id = self.pool.ids[index]
        truth = self._truth(index)
        rounds = store.round_map(image_id, number)
        image = _small(self.pool.display(index))
        panels = {
            "image": image,
            "score": score_picture(_small(score.float().cpu().numpy())),
            # A window of a few pixels is less than one of the small picture, and still shown.
            "picks": picks_picture(image, _covered(rounds > 0), _covered(rounds == number)),
        }
        if truth is not None:
            prediction, _ = self._look(index)
            panels["errors"] = _errors_picture(image, (prediction != truth) & (truth != 255))
        names = {}
        for kind, picture in panels.items():
            name = f"{round_name(number)}/{image_id}.{kind}.jpg"
            path = self.folder.analysis / name
            buffer = io.BytesIO()
            # Colours at full resolution, or those of single windows are lost in the grey around.
            Image.fromarray(picture).save(buffer, format="JPEG", quality=80, subsampling=0)
            with self.folder.writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(buffer.getvalue())
            names[kind] = name
        return image_id, names


def _norm(head: nn.Module, features: Tensor) -> Tensor:
    """Return the Euclidean norm B×1×h×w of what a head classifies linearly or maps into the ball.

    A hyperbolic radius is twice this norm until it saturates, so beside it the norm shows what
    the ball adds.
    """
    vectors = head.tangent(features) if isinstance(head, HyperbolicHead) else features
    norm: Tensor = torch.linalg.vector_norm(vectors.float(), dim=1, keepdim=True)
    return norm


def _errors_picture(image: RGB, wrong: NDArray[np.bool_]) -> RGB:
    """Return an image in grey, the redder the more of a place was taken for another class."""
    share = _small(wrong.astype(np.float32))[..., None]
    grey = picks_picture(image, np.zeros(image.shape[:2], dtype=bool))
    mixed: RGB = np.rint(grey * (1 - share) + ERROR * share).astype(np.uint8)
    return mixed


def _small(values: NDArray[Any]) -> NDArray[Any]:
    """Return a map or picture in the size of the small pictures, each pixel a mean."""
    height, width = values.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smaller: NDArray[Any] = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return smaller


def _covered(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where in a small picture a mask has any pixel, a pixel wider where it was shrunk."""
    small: NDArray[np.bool_] = _small(mask.astype(np.float32)) > 0
    if small.shape == mask.shape:
        return small
    return cv2.dilate(small.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)).astype(bool)

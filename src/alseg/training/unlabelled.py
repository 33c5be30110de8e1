"""What target pixels that nobody was asked about teach: a teacher's classes on a strong view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alseg.data.label_space import IGNORE
from alseg.data.views import View, carry
from alseg.errors import ConfigError
from alseg.models import Prediction
from alseg.models.prediction import resize
from alseg.training.mixing import MIXES, mix, mixing_mask
from alseg.training.teacher import Teacher

STRONG = "strong"
"""The view that the student sees."""

CERTAIN = 100.0
"""The logit of an answered pixel's class above those of the others: its entropy is 0."""


LEARNT = {"none": (), "pseudo-labels": ("pseudo",), "u2pl": ("pseudo", "contrast")}
"""The names of the loss terms of each way to learn from unasked pixels."""


@dataclass(frozen=True)
class Unlabelled:
    """How a network learns from target pixels that nobody was asked about.

    Attributes:
        unlabelled: ``none``, ``pseudo-labels`` or ``u2pl``.
        mix: How the student's images are mixed: ``none``, ``cutmix`` or ``classmix``.
        teacher_decay: Largest decay of the teacher, see ``Teacher``.
        trust: Least agreement with the answers at which the teacher's class counts, see
            ``Teacher.trusts``.
        evaluate: Which network is evaluated and scores the pool where there is a teacher:
            ``teacher`` or ``student``.

    Raises:
        ConfigError: A word is unknown, or a number is out of range.
    """

    unlabelled: str = "none"
    mix: str = "cutmix"
    teacher_decay: float = 0.99
    trust: float = 0.0
    evaluate: str = "teacher"

    def __post_init__(self) -> None:
        allowed = {"unlabelled": tuple(LEARNT), "mix": MIXES, "evaluate": ("teacher", "student")}
        for name, words in allowed.items():
            if getattr(self, name) not in words:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; allowed are {', '.join(words)}."
                )
        for name, value in (("teacher_decay", self.teacher_decay), ("trust", self.trust)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}; it must be from 0 to 1.")


@dataclass(frozen=True)
class Mixed:
    """A batch of target images as the student sees it, strongly changed and mixed.

    Attributes:
        images: B×3×h×w.
        answers: B×h×w train ids; 255 where nobody was asked.
        taught: B×C×h×w logits of the teacher, carried over from the image that it saw; where a
            pixel was answered, the answer is certain.
        pseudo_labels: B×h×w: the answer, or else the teacher's class; 255 where the view shows
            nothing that the teacher saw, or a class of which it is not trusted.
        features: B×D×h'×w', the teacher's, carried over and mixed like the images.
        prediction: What the student makes of the images.
        logits: B×C×h×w of the student, on the grid of the images.
    """

    images: Tensor
    answers: Tensor
    taught: Tensor
    pseudo_labels: Tensor
    features: Tensor
    prediction: Prediction
    logits: Tensor


def show_mixed(
    student: torch.nn.Module, teacher: Teacher, base: View, strong: View, how: str, trust: float
) -> Mixed:
    """Let the teacher see a view, mix the other one, and let the student see that.

    Args:
        student: The network that is trained.
        teacher: Its teacher; answered pixels are counted into what it agrees with.
        base: What the teacher sees.
        strong: What is mixed.
        how: How, one of ``MIXES``.
        trust: See ``Teacher.trusts``.
    """
    with torch.no_grad():
        seen = teacher(base.images)
        assert seen.features is not None
        shape = base.labels.shape[-2:]
        logits = resize(seen.logits, shape)
        teacher.compare(logits, base.labels)
        taught, inside = carry(logits.contiguous(), base, strong)
        features, _ = carry(seen.features, base, strong)
        answers = strong.labels
        found = taught.argmax(1)
        found = torch.where(inside & teacher.trusts(trust)[found], found, IGNORE)
        pseudo_labels = torch.where(answers == IGNORE, found, answers)
        is_class = torch.arange(taught.shape[1], device=answers.device)[:, None, None]
        certain = CERTAIN * (answers[:, None] == is_class).to(taught.dtype)
        taught = torch.where((answers == IGNORE)[:, None], taught, certain)
        mask = mixing_mask(how if len(answers) > 1 else "none", pseudo_labels)
        small = functional.interpolate(mask[:, None].float(), features.shape[-2:], mode="nearest")
        images, answers, taught, pseudo_labels = (
            mix(maps, mask) for maps in (strong.images, answers, taught, pseudo_labels)
        )
        features = mix(features, small[:, 0] > 0)
    prediction: Prediction = student(images)
    return Mixed(
        images,
        answers,
        taught,
        pseudo_labels,
        features,
        prediction,
        resize(prediction.logits, shape),
    )


def shrink(labels: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Return labels on a coarser grid, where a cell with a single class has that class.

    Pixels without a label do not count, so that few labelled pixels survive; a cell of several
    classes has none.

    Args:
        labels: B×h×w train ids; 255 has none.
        size: Height and width, at most those of the labels.
    """
    has_label = labels != IGNORE
    smallest = _largest(torch.where(has_label, -labels, -IGNORE), size).neg()
    largest = _largest(torch.where(has_label, labels, -1), size)
    return torch.where(smallest == largest, largest, IGNORE)


def _largest(labels: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    values = labels[:, None].float()
    return functional.adaptive_max_pool2d(values, tuple(size))[:, 0].to(labels.dtype)

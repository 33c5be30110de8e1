"""Masks that people painted: a region of a painted shape is answered by one, not by a class.

``answers/masks/DIGEST.png`` of a round's folder holds the train ids of an image; 255 is void. The
answer in a person's file is ``mask:DIGEST``, so equal masks of two people are the same answer.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from alseg.config.answer_keys import MASK
from alseg.errors import LabelStoreError
from alseg.labels.files import decode_png, encode_png, replace_in_store
from alseg.queries.answers_folder import AnswersFolder
from alseg.queries.asked import AskedRound
from alseg.storage.regular_files import digest, read_unchanged

FOLDER = "masks"
ANSWER = re.compile(rf"{MASK}:([0-9a-f]{{64}})")


def is_mask(answer: object) -> bool:
    """Whether an answer is the name of a mask."""
    return isinstance(answer, str) and ANSWER.fullmatch(answer) is not None


def encode_mask(labels: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Return the answer that a mask is, and the content of its file.

    Args:
        labels: H×W train ids; 255 is void.
    """
    data = encode_png(labels)
    return f"{MASK}:{digest(data)}", data


def write_mask(folder: AnswersFolder, answer: str, data: bytes) -> None:
    """Write the file of a mask, which is on disk when this returns.

    Raises:
        LabelStoreError: It cannot be written.
    """
    with folder.writing():
        replace_in_store(folder.path / FOLDER / _file(answer), data)


def read_mask(asked: AskedRound, answer: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the train ids of a mask, H×W; 255 is void.

    Raises:
        LabelStoreError: Its file is missing, damaged, or has another size or other classes.
    """
    path = asked.answers / FOLDER / _file(answer)
    remedy = "Import the mask again, or restore the file from a copy."
    try:
        labels = decode_png(read_unchanged(path, answer.partition(":")[2]), shape)
    except (LabelStoreError, ValueError) as error:
        raise LabelStoreError(f"{path} cannot be used: {error}. {remedy}") from error
    wrong = labels[(labels >= len(asked.classes)) & (labels < 255)]
    if wrong.size:
        raise LabelStoreError(
            f"{path} holds the value {int(wrong[0])}; allowed are 0 to {len(asked.classes) - 1}, "
            f"and 255 for void. {remedy}"
        )
    return labels


def _file(answer: str) -> str:
    return f"{answer.partition(':')[2]}.png"

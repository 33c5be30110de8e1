"""The definitions, spelled out pixel by pixel: slow, obvious, and no code of the package."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings

# How long an example takes says more of the machine's load than of the code.
settings.register_profile("alseg-strategies", deadline=None)
settings.load_profile("alseg-strategies")


def window(x, row, column, radius):
    """The clipped window of the last two axes around a pixel."""
    rows = slice(max(0, row - radius), row + radius + 1)
    columns = slice(max(0, column - radius), column + radius + 1)
    return x[..., rows, columns]


def per_pixel(function, x, radius):
    """Apply a function to the window around each pixel of H,W."""
    height, width = x.shape
    result = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            result[row, column] = function(window(x, row, column, radius))
    return result


def histogram_entropy(values):
    """Entropy in nats of the values' histogram."""
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return -sum(share * math.log(share) for share in shares)


def softmax(logits):
    """Softmax over the first axis, in float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(0))
    return exponentials / exponentials.sum(0)


def softmax_entropy(logits):
    """Entropy in nats of the softmax over the first axis."""
    probabilities = softmax(logits)
    return -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(0)


def min_max(x):
    return (x - x.min()) / (x.max() - x.min())


def greedy(score, count, radius, exclusion_radius, unavailable, labelled):
    """Pick the maximum of the whole map again and again: first column, then first row of equals."""
    score = score.copy()
    score[unavailable] = -np.inf
    excluded = unavailable.copy()
    covered = labelled.copy()
    centres, costs = [], []
    for _ in range(count):
        best_row = score.argmax(axis=0)
        column = int(score.max(axis=0).argmax())
        row = int(best_row[column])
        if score[row, column] == -np.inf:
            break
        before = covered.sum()
        window(covered, row, column, radius)[...] = True
        window(excluded, row, column, exclusion_radius)[...] = True
        window(score, row, column, exclusion_radius)[...] = -np.inf
        centres.append((row, column))
        costs.append(int(covered.sum() - before))
    return centres, covered & ~labelled, excluded, costs


@pytest.fixture(scope="session")
def plain():
    """The functions of this file."""
    return SimpleNamespace(
        per_pixel=per_pixel,
        histogram_entropy=histogram_entropy,
        softmax_entropy=softmax_entropy,
        softmax=softmax,
        min_max=min_max,
        greedy=greedy,
    )

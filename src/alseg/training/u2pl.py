"""U2PL: what unlabelled pixels teach, as pure functions of tensors.

Wang et al., CVPR 2022 (arXiv 2203.03884), and U2PL+ (arXiv 2306.02314). Reliable predictions of a
teacher are pseudo-labels; unreliable ones still say which classes a pixel is not, and become
negative keys of a contrastive loss. Where the published program differs from the paper (labelled
pixels never become negative keys; anchors are taken by the wrong class once one is absent), the
paper is followed.

A map of labels has 255 where a pixel has no label. B images, C classes, D features.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from alseg.data.label_space import IGNORE
from alseg.models.prediction import at_least_float32


def entropy_map(logits: Tensor) -> Tensor:
    """Return the entropy of the class probabilities, B×h×w in nats, computed in float32.

    Args:
        logits: B×C×h×w.
    """
    logarithms = at_least_float32(logits).log_softmax(1)
    return -(logarithms.exp() * logarithms).sum(1)


def percentile_of(values: Tensor, percentile: float) -> Tensor:
    """Return a percentile of some numbers by linear interpolation, a scalar.

    Unlike ``torch.quantile`` it takes any number of them.

    Args:
        values: N numbers, at least one.
        percentile: From 0 to 100.
    """
    ordered = values.flatten().sort().values
    place = (len(ordered) - 1) * percentile / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below].lerp(ordered[above], place - below)


def unsupervised_loss(
    student_logits: Tensor, teacher_logits: Tensor, pseudo_labels: Tensor, percentile: float
) -> Tensor:
    """Cross-entropy of the student on the pixels of which the teacher is sure.

    These are the pixels with a pseudo-label whose entropy under the teacher is below the
    percentile of the batch's entropies. The mean over them is multiplied by the share of all
    pixels that they are the inverse of: all pixels / reliable pixels.

    Args:
        student_logits: B×C×h×w.
        teacher_logits: B×C×h×w; no gradient reaches them.
        pseudo_labels: B×h×w class ids; 255 has none.
        percentile: From 0 to 100: 100 - alpha_t, and 100 takes all but the least sure pixel.

    Returns:
        A scalar in float32; 0 with a gradient of 0 when no pixel is reliable.

    Source:
        U2PL, eqs. 2 and 5 to 7.

    Example:
        >>> import torch
        >>> from alseg.training.u2pl import unsupervised_loss
        >>> teacher = torch.tensor([[3.0, 0.1], [0.0, 0.0]])[None, :, None]
        >>> loss = unsupervised_loss(torch.zeros(1, 2, 1, 2), teacher, teacher.argmax(1), 80)
        >>> round(float(loss), 3)  # 2 pixels, of which 1 is reliable: 2 log 2
        1.386
    """
    with torch.no_grad():
        has_label = pseudo_labels != IGNORE
        entropies = entropy_map(teacher_logits)
        reliable = has_label
        if bool(has_label.any()):
            reliable = has_label & (entropies < percentile_of(entropies[has_label], percentile))
        target = torch.where(reliable, pseudo_labels, IGNORE)
        count = reliable.sum()
    total = functional.cross_entropy(
        at_least_float32(student_logits), target, ignore_index=IGNORE, reduction="sum"
    )
    return total * pseudo_labels.numel() / count.clamp(min=1).square()


def anchor_masks(
    labels: Tensor, probabilities: Tensor, reliable: Tensor, threshold: float = 0.3
) -> Tensor:
    """Return the pixels that may be an anchor of each class.

    Args:
        labels: B×h×w labels or pseudo-labels; 255 has none.
        probabilities: B×C×h×w of the network that the features are of.
        reliable: B×h×w bool: pixels whose label counts.
        threshold: Least probability of the class, δ_p.

    Returns:
        C×B×h×w bool.

    Source:
        U2PL, eqs. 8 to 10.
    """
    classes = probabilities.shape[1]
    return _one_hot(labels, classes) & reliable & (probabilities.transpose(0, 1) > threshold)


def negative_masks(
    labels: Tensor,
    pseudo_labels: Tensor,
    probabilities_labelled: Tensor,
    probabilities_unlabelled: Tensor,
    unreliable: Tensor,
    low_rank: int = 3,
    high_rank: int = 20,
) -> tuple[Tensor, Tensor]:
    """Return the pixels that are negative keys of each class.

    A labelled pixel is one of class c if it is not of c and c is among its ``low_rank`` most
    probable classes: it is easily mistaken. An unlabelled one is if the teacher is unsure of it
    and c has a rank from ``low_rank`` on and below ``high_rank``: it is not c, whatever it is.

    Args:
        labels: B×h×w labels of labelled images; 255 has none.
        pseudo_labels: B'×h×w of unlabelled images; 255 leaves a pixel out.
        probabilities_labelled: B×C×h×w of the teacher.
        probabilities_unlabelled: B'×C×h×w of the teacher.
        unreliable: B'×h×w bool: pixels of which the teacher is unsure.
        low_rank: r_l, counted from 0; with two classes 1 is the only one that leaves both kinds.
        high_rank: r_h, counted from 0; at most C counts.

    Returns:
        C×B×h×w and C×B'×h×w bool.

    Source:
        U2PL, eqs. 11 to 14.
    """
    classes = probabilities_labelled.shape[1]
    ranks = _ranks(probabilities_labelled)
    easily_mistaken = (ranks < low_rank) & ~_one_hot(labels, classes) & (labels != IGNORE)
    ranks = _ranks(probabilities_unlabelled)
    improbable = (ranks >= low_rank) & (ranks < high_rank)
    return easily_mistaken, improbable & unreliable & (pseudo_labels != IGNORE)


def contrastive_loss(
    features: Tensor,
    teacher_features: Tensor,
    labels: Tensor,
    reliable_pseudo_labels: Tensor,
    probabilities: Tensor,
    negatives: Mapping[int, Tensor],
    temperature: float = 0.5,
    anchors: int = 256,
    negatives_per_anchor: int = 50,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""InfoNCE between anchors of a class, the mean feature of the class, and negative keys.

    For every class that has a labelled or reliable pixel, ``anchors`` of its anchors are drawn
    with replacement, and for each of them ``negatives_per_anchor`` keys:
    :math:`-\log\frac{e^{\langle a, p\rangle/\tau}}
    {e^{\langle a, p\rangle/\tau} + \sum_j e^{\langle a, n_j\rangle/\tau}}` on cosine similarities.
    The mean over the anchors of a class is averaged over these classes; one without an anchor or
    without a key adds 0.

    Args:
        features: (B+B')×D×h×w of the student: labelled images first, then unlabelled ones.
        teacher_features: The same of the teacher; no gradient reaches them.
        labels: B×h×w labels; 255 has none.
        reliable_pseudo_labels: B'×h×w; 255 where the teacher is not sure.
        probabilities: (B+B')×C×h×w, by which anchors are chosen.
        negatives: N×D keys of each class.
        temperature: τ.
        anchors: Anchors drawn of a class, M.
        negatives_per_anchor: Keys drawn for an anchor, N.
        generator: What is drawn with, on the CPU; None takes torch's.

    Returns:
        A scalar in float32; 0 with a gradient of 0 where there is nothing to compare.

    Source:
        U2PL, eq. 3.
    """
    given = torch.cat([labels, reliable_pseudo_labels])
    masks = anchor_masks(given, probabilities, given != IGNORE)
    rows = at_least_float32(features).movedim(1, -1)
    teacher_rows = at_least_float32(teacher_features.detach()).movedim(1, -1)
    # Connected to the features also where nothing is drawn.
    total = rows.sum() * 0
    is_present = _one_hot(given, probabilities.shape[1]).flatten(1).any(1)
    present = is_present.nonzero()[:, 0].tolist()
    for number in present:
        keys = negatives.get(number)
        places = masks[number].nonzero(as_tuple=True)
        if keys is None or not len(keys) or not len(places[0]):
            continue
        drawn = _draw(len(places[0]), (anchors,), generator).to(rows.device)
        chosen = rows[tuple(place[drawn] for place in places)]
        positive = teacher_rows[given == number].mean(0)
        drawn = _draw(len(keys), (anchors, negatives_per_anchor), generator).to(keys.device)
        against = torch.cat([positive.expand(anchors, 1, -1), keys[drawn].to(rows)], dim=1)
        similarity = functional.cosine_similarity(chosen[:, None], against, dim=2) / temperature
        total = total - similarity.log_softmax(1)[:, 0].mean()
    return total / max(1, len(present))


def _draw(count: int, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    return torch.randint(count, shape, generator=generator)


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return C×B×h×w bool: which class a pixel is labelled with."""
    numbers = torch.arange(classes, device=labels.device, dtype=labels.dtype)
    return labels == numbers[:, None, None, None]


def _ranks(probabilities: Tensor) -> Tensor:
    """Return C×B×h×w: the place of each class in the order of its pixel, 0 is the first.

    Of equal probabilities the smaller number goes first.
    """
    order = probabilities.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(probabilities.shape[1], device=order.device)
    ranks = torch.empty_like(order).scatter_(1, order, places.view(1, -1, 1, 1).expand_as(order))
    return ranks.transpose(0, 1)

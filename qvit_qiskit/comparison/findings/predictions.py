"""What predicted probabilities are worth: reliability and confusion of a rung's answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.comparison.evidence import Rung
from qvit_qiskit.comparison.findings.scores import covered
from qvit_qiskit.statistics.intervals import Interval, wilson

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Predicted probabilities in bins of equal width; bins without images are left out."""

    edges: np.ndarray
    """Of the bins, shape (bins + 1,)."""
    counts: np.ndarray
    """Images in each bin, shape (bins,), the empty ones among them."""
    predicted: np.ndarray
    """Mean probability in each bin that has images, shape (used,)."""
    observed: np.ndarray
    """Share of its images for which it came true, shape (used,)."""
    low: np.ndarray
    """Lower ends of the Wilson intervals of these shares, shape (used,)."""
    high: np.ndarray
    """Their upper ends, shape (used,)."""


def reliability(labels: np.ndarray, rung: Rung, bins: int = BINS) -> Reliability:
    """Bin the predictions of one rung.

    For two classes the probability is that of class 1, for more that of the predicted class. With
    several labels all labels of all images are binned together, as if they were independent.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        rung: Evaluated on the same images.
        bins: How many, of equal width.
    """
    several = labels.ndim == 2
    probabilities = metrics.probabilities(rung.logits, multi_label=several)
    if several:
        chance, hit = probabilities.ravel(), labels.ravel() == 1
    elif probabilities.shape[1] == 2:
        chance, hit = probabilities[:, 1], labels == 1
    else:
        chance = probabilities.max(axis=1)
        hit = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(chance, edges) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    hits = np.bincount(place, hit, bins)[used].astype(int)
    intervals = [wilson(int(k), int(n)) for k, n in zip(hits, counts[used], strict=True)]
    return Reliability(
        edges,
        counts,
        np.bincount(place, chance, bins)[used] / counts[used],
        hits / counts[used],
        np.array([interval.low for interval in intervals]),
        np.array([interval.high for interval in intervals]),
    )


@dataclass(frozen=True)
class Confusion:
    """Images by true and predicted class; with several labels by label and answer, no or yes."""

    counts: np.ndarray
    """Images, shape (classes, classes), or (labels, 2) of the images with a label."""
    shares: np.ndarray
    """Of the images of a true class, of the same shape; 0 where it has none."""
    images: tuple[int, ...]
    """How many images there are of each class or label."""
    recalls: tuple[Interval | None, ...]
    """The share of each class's images that is answered rightly; None where it has no image."""


def confusion(labels: np.ndarray, rung: Rung) -> Confusion:
    """Count the answers of one rung.

    For two classes the second is predicted where its probability is above 0.5, as in ACC.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        rung: Evaluated on the same images.
    """
    several = labels.ndim == 2
    probabilities = metrics.probabilities(rung.logits, multi_label=several)
    answers = metrics.answers(probabilities, multi_label=several)
    classes = probabilities.shape[1]
    if several:
        # (labels, 2): answered no, yes
        counts = np.stack([((answers == yes) & (labels == 1)).sum(axis=0) for yes in (0, 1)], 1)
    else:
        counts = np.zeros((classes, classes), int)
        np.add.at(counts, (labels, answers), 1)  # true class by predicted class
    totals, covers = counts.sum(axis=1), covered(rung)
    wide = totals[:, None]
    # a class without images keeps 0
    shares = np.divide(counts, wide, out=np.zeros(counts.shape), where=wide > 0)
    return Confusion(
        counts,
        shares,
        tuple(int(total) for total in totals),
        tuple(
            wilson(int(counts[k, 1 if several else k]), int(total), covers=covers)
            if total
            else None
            for k, total in enumerate(totals)
        ),
    )

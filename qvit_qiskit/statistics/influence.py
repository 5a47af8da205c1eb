"""What each image contributes to a metric's error, and the standard error that follows.

The influence of an image is how far it alone moves a metric; the sum of squared influences
estimates the metric's variance over draws of the test images (the infinitesimal jackknife). For the
area under the ROC curve this is the method of DeLong, DeLong and Clarke-Pearson (Biometrics 44,
1988), computed from midranks as Sun and Xu do (IEEE Signal Processing Letters 21, 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]
from scipy.stats import rankdata  # type: ignore[import-untyped]

from qvit_qiskit.metrics import curves

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

CERTAIN = 1e9
"""Degrees of freedom at which Student's t is the normal distribution."""


@dataclass(frozen=True)
class Areas:
    """One-versus-rest areas under the ROC curve, one for each class that has a curve."""

    values: Floats  # shape: (K,)
    positives: Labels  # shape: (K,)
    """Images of each class or label."""
    influences: Floats  # shape: (n, K)
    """nan throughout a column whose class, or whose rest, is a single image."""
    labels: Labels  # shape: (n,)
    """The class of each image; all 0 where an image may have several labels."""

    @property
    def mean(self) -> float:
        """`metrics.auc` of the same images; nan if no class has a curve."""
        return float(self.values.mean()) if len(self.values) else float("nan")

    @property
    def influence(self) -> Floats:
        """How far each image moves the mean over the classes, shape (n,); 0 without a class."""
        # they belong together
        return np.asarray(self.influences.sum(axis=1) / max(1, len(self.values)))


@dataclass(frozen=True)
class Spread:
    """A standard error and how well it is known."""

    error: float
    """0 if all influences vanish, nan if a class has a single image."""
    freedom: float
    """Degrees of freedom of Student's t."""

    def reach(self, level: float) -> float:
        """Half the width of the t interval."""
        return float(stdtrit(self.freedom, (1 + level) / 2)) * self.error

    def p(self, value: float) -> float:
        """Two-sided p value of ``value`` against 0."""
        return float(2 * stdtr(self.freedom, -abs(value) / self.error))

    def plus(self, variance: float) -> Spread:
        """The spread with a variance more that is known exactly, free of Satterthwaite's doubt."""
        own = self.error**2
        freedom = self.freedom * ((own + variance) / own) ** 2 if own > 0 else CERTAIN
        return Spread(math.sqrt(own + variance), min(freedom, CERTAIN))


def areas(labels: ArrayLike, probabilities: ArrayLike) -> Areas:
    """Areas and influences of the classes that `metrics.auc` averages over.

    An image of class k moves the area of class k by the share of other images that score below it,
    and every other area as one of the rest; ties count one half. Influences are scaled by
    √(m/(m − 1)) within the m images of a class and within its rest, so that their sum of squares
    is DeLong's variance. One image's influences on all classes belong together: their mean is its
    influence on the mean area, and covariances between classes need no further term. The same holds
    for several labels of an image, which are scored one by one.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    shown = curves(labels, probabilities)  # refuses what is not labels and probabilities
    truth = np.asarray(labels, np.int64)
    values, influences = np.empty(len(shown)), np.empty((len(truth), len(shown)))
    for column, (positive, scores) in enumerate(shown):
        values[column], influences[:, column] = _one_area(positive, scores)
    counts = np.array([np.count_nonzero(positive) for positive, _ in shown], np.int64)
    return Areas(values, counts, influences, strata_of(truth))


def strata_of(labels: Labels) -> Labels:
    """Groups of images that resampling keeps apart, shape (n,).

    They are the classes; where an image may have several labels, all images are one group, because
    no cut keeps the numbers of all labels.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
    """
    return labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)


def _one_area(positive: NDArray[np.bool_], scores: Floats) -> tuple[float, Floats]:
    """The area of one class against the rest, and the influences on it, shape (n,)."""
    m, n = np.count_nonzero(positive), np.count_nonzero(~positive)
    ranks = rankdata(scores)  # ties share their mean rank, so they count one half
    won = (ranks[positive] - rankdata(scores[positive])) / n  # (m,)
    lost = 1 - (ranks[~positive] - rankdata(scores[~positive])) / m  # (n,)
    value = float(won.mean())
    influence = np.full(len(scores), np.nan)  # a single image has no variance
    if min(m, n) > 1:
        influence[positive] = (won - value) / np.sqrt(m * (m - 1))
        influence[~positive] = (lost - value) / np.sqrt(n * (n - 1))
    return value, influence


def swap_variance(curves: Areas) -> float:
    """The least variance of a difference between two mean areas on the same images.

    Where two rungs rank all images alike, paired DeLong's variance is 0, though other images could
    have been ranked otherwise. As Bonett and Price add an image to each kind of disagreement of two
    proportions, this adds to each class a pair of a positive and a negative image that swaps
    upwards and one that swaps downwards. Among m positives and n negatives a swap moves the area by
    1/(mn), which is then the influence of either image, so that the two swaps add 4/(mn)² to
    DeLong's sum of squares; K classes add the sum of theirs over K². With nothing swapped the 95 %
    limits are ±3.9/(mn), near the 3.7/(mn) that a Poisson number of swaps of which none was seen
    cannot exceed at that level.

    Args:
        curves: At least one area.
    """
    pairs = (curves.positives * (len(curves.labels) - curves.positives)).astype(np.float64)
    return float(4 * np.sum(pairs**-2.0)) / len(pairs) ** 2


def spread(influence: Floats, groups: Labels) -> Spread:
    """Standard error from influences, with degrees of freedom that respect small, skewed groups.

    The variance is a sum over groups, each known as well as its size and its tails allow:
    Satterthwaite's degrees of freedom 2V²/Var(V), where the variance of a group's part a is
    2a²/(n − 1) as for normal values, or n times the variance of the squared influences if that is
    more. Where few images carry the error, as at an AUC of 0.99, it is more.

    Args:
        influence: Shape (n,).
        groups: The class of each image, shape (n,); all equal if classes play no part.
    """
    squares = influence**2
    counts = np.bincount(groups)
    # labels may leave gaps
    counts, groups = counts[counts > 0], np.unique(groups, return_inverse=True)[1]
    parts = np.bincount(groups, squares)
    deviations = squares - (parts / counts)[groups]
    doubt = np.maximum(
        2 * parts**2 / np.maximum(counts - 1, 1), np.bincount(groups, deviations**2)
    ).sum()
    total = float(parts.sum())
    freedom = 2 * total**2 / float(doubt) if doubt > 0 else float(len(groups))
    return Spread(float(np.sqrt(total)), freedom)


def of_mean(values: Floats) -> Spread:
    """The spread of a mean of independent values, shape (n,) with n of at least two."""
    n = len(values)
    return spread((values - values.mean()) / np.sqrt(n * (n - 1)), np.zeros(n, np.int64))

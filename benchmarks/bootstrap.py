"""Stratified BCa bootstraps of metrics, for contrast with the package's intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from qvit_qiskit import metrics
from qvit_qiskit.statistics.influence import Floats, Labels, areas, swap_variance
from qvit_qiskit.statistics.intervals import Interval, auc_interval, normal_quantile
from qvit_qiskit.statistics.resampling import Statistic, replicates

RESAMPLES = 1000
LEVEL = 0.95
TIE = 1e-12
"""Draws this near to a value count as equal: they differ in the order of summation."""


def auc_bca(labels: Labels, probabilities: Floats) -> Interval:
    """Interval of the official AUC; where there is nothing to resample, the package's own."""
    one = areas(labels, probabilities)
    if not 0 < one.mean < 1:
        return auc_interval(labels, probabilities)
    draws = replicates(one.labels, auc_of(labels, probabilities), RESAMPLES, 0)
    return _interval(one.mean, draws, one.influence, one.labels)


def auc_difference_bca(labels: Labels, first: Floats, second: Floats) -> Interval:
    """Second minus first AUC, both on the same resamples; two swapped pairs are always added."""
    one, two = areas(labels, first), areas(labels, second)
    before, after = auc_of(labels, first), auc_of(labels, second)
    value = two.mean - one.mean
    draws = replicates(one.labels, lambda counts: after(counts) - before(counts), RESAMPLES, 0)
    limits = _interval(value, draws, two.influence - one.influence, one.labels)
    least = normal_quantile(LEVEL) * math.sqrt(swap_variance(one))
    low, high = (math.hypot(end - value, least) for end in (limits.low, limits.high))
    return Interval(value, value - low, value + high, LEVEL, "paired BCa", ())


def acc_difference_bca(labels: Labels, first: Floats, second: Floats) -> Interval:
    """Second minus first ACC, images drawn within their classes."""
    right, then = metrics.right(labels, first), metrics.right(labels, second)
    change = then.astype(np.float64) - right
    draws = replicates(labels, mean_of(change), RESAMPLES, 0)
    return _interval(float(change.mean()), draws, change / len(change), labels)


def mean_bca(values: Floats) -> Interval:
    """Interval of a mean."""
    one, value = np.zeros(len(values), int), float(values.mean())
    return _interval(value, replicates(one, mean_of(values), RESAMPLES, 0), values - value, one)


def _interval(value: float, draws: Floats, influence: Floats, groups: Labels) -> Interval:
    low, high = BCa.of(value, draws, influence, groups).limits(LEVEL)
    return Interval(value, low, high, LEVEL, "BCa", ())


def mean_of(values: Floats) -> Statistic:
    """The mean of values, shape (n,), over the images of a resample."""
    return lambda counts: np.asarray(counts @ values / len(values))


def auc_of(labels: Labels, probabilities: Floats) -> Statistic:
    """`metrics.auc` of resamples, for labels with at least one ROC curve.

    Where an image may have several labels, a resample may lack one of them, which then is left out
    of the mean.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).
    """
    plans = [
        _Plan.of(positive, scores) for positive, scores in metrics.curves(labels, probabilities)
    ]
    return lambda counts: np.nanmean([plan.area(counts) for plan in plans], axis=0)


@dataclass(frozen=True)
class _Plan:
    """One class against the rest, sorted once for all resamples."""

    positives: NDArray[np.intp]  # shape: (m,)
    rest: NDArray[np.intp]  # shape: (n - m,), by rising score
    below: NDArray[np.intp]  # shape: (m,), how many of the rest score below
    upto: NDArray[np.intp]  # shape: (m,), below or equal

    @classmethod
    def of(cls, positive: NDArray[np.bool_], scores: Floats) -> _Plan:
        rest = np.flatnonzero(~positive)
        rest = rest[np.argsort(scores[rest])]
        positives = np.flatnonzero(positive)
        own, others = scores[positives], scores[rest]
        return cls(
            positives, rest, np.searchsorted(others, own), np.searchsorted(others, own, "right")
        )

    def area(self, counts: Floats) -> Floats:
        """Share of pairs in order, shape (b,), ties half; nan without a pair."""
        passed = np.zeros((len(counts), len(self.rest) + 1))
        np.cumsum(counts[:, self.rest], axis=1, out=passed[:, 1:])
        won = passed[:, self.below] + passed[:, self.upto]
        drawn = counts[:, self.positives]
        pairs = drawn.sum(axis=1) * passed[:, -1]
        return np.asarray(np.einsum("bm,bm->b", won, drawn) / np.where(pairs, 2 * pairs, np.nan))


@dataclass(frozen=True)
class BCa:
    """Bias-corrected and accelerated limits (Efron, J. Am. Stat. Assoc. 82, 1987)."""

    value: float
    draws: Floats  # shape: (resamples,)
    acceleration: float

    @classmethod
    def of(cls, value: float, draws: Floats, influence: Floats, groups: Labels) -> BCa:
        """With the acceleration from influences, centred in each stratum.

        Args:
            value: The statistic of all images.
            draws: Of the resamples.
            influence: How far each image moves the statistic, shape (n,).
            groups: Its stratum, shape (n,).
        """
        index = np.unique(groups, return_inverse=True)[1]
        centred = influence - (np.bincount(index, influence) / np.bincount(index))[index]
        size = np.sum(centred**2) ** 1.5
        skew = np.sum(centred**3) / (6 * size) if size > 0 else 0.0
        return cls(value, draws, float(skew))

    def limits(self, level: float) -> tuple[float, float]:
        """Lower and upper limit; they always enclose the value."""
        quantiles = ndtri([(1 - level) / 2, (1 + level) / 2]) + self._bias
        shares = ndtr(self._bias + quantiles / (1 - self.acceleration * quantiles))
        low, high = np.quantile(self.draws, shares)
        return min(float(low), self.value), max(float(high), self.value)

    @property
    def _bias(self) -> float:
        return self._normal(self.value)

    def _normal(self, value: float) -> float:
        """The normal quantile of the share of draws below a value, ties half."""
        above = self.draws - value
        share = np.mean(above < -TIE) + np.mean(np.abs(above) <= TIE) / 2
        least = 0.5 / len(self.draws)
        return float(ndtri(np.clip(share, least, 1 - least)))

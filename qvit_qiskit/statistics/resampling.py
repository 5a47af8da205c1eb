"""Stratified bootstrap of metrics: images are drawn with replacement within their class.

A resample is a row of counts, how often it holds each image. Metrics are functions of counts, so
that thousands of resamples are evaluated at once and two rungs see the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.metrics import curves
from qvit_qiskit.statistics.influence import Floats, Labels

BLOCK = 2_000_000
"""Counts held at once, which bounds memory at a few hundred MiB."""

TIE = 1e-12
"""Draws this near to a value count as equal: they differ in the order of summation."""

Statistic = Callable[[Floats], Floats]
"""From counts, shape (b, n), to values, shape (b,)."""


def replicates(labels: Labels, statistic: Statistic, resamples: int, seed: int) -> Floats:
    """A statistic of many resamples, shape (resamples,).

    Args:
        labels: Strata, shape (n,).
        statistic: What to compute.
        resamples: How many.
        seed: Of the generator; the same seed gives the same resamples for any statistic.

    Raises:
        DataError: If ``resamples`` is below 100.
    """
    if resamples < 100:
        raise DataError(
            f"Expected at least 100 resamples, got {resamples}. The default of 2000 takes seconds."
        )
    rng = np.random.default_rng(seed)
    strata = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    step = max(1, BLOCK // len(labels))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([statistic(_counts(strata, len(labels), b, rng)) for b in sizes])


def _counts(strata: list[NDArray[np.intp]], n: int, b: int, rng: np.random.Generator) -> Floats:
    counts = np.empty((b, n))
    rows = np.arange(b)[:, None]
    for members in strata:
        m = len(members)
        drawn = rng.integers(m, size=(b, m)) + rows * m
        counts[:, members] = np.bincount(drawn.ravel(), minlength=b * m).reshape(b, m)
    return counts


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
    plans = [_Plan.of(positive, scores) for positive, scores in curves(labels, probabilities)]
    return lambda counts: np.asarray(np.nanmean([plan.area(counts) for plan in plans], axis=0))


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
    def p(self) -> float:
        """Two-sided p value against 0: one minus the level at which a limit reaches 0."""
        offset = self._normal(0.0) - self._bias
        normal = offset / (1 + self.acceleration * offset) - self._bias
        return float(2 * ndtr(-abs(normal)))

    @property
    def _bias(self) -> float:
        return self._normal(self.value)

    def _normal(self, value: float) -> float:
        """The normal quantile of the share of draws below a value, ties half."""
        above = self.draws - value
        share = np.mean(above < -TIE) + np.mean(np.abs(above) <= TIE) / 2
        least = 0.5 / len(self.draws)
        return float(ndtri(np.clip(share, least, 1 - least)))

"""Paired differences: two rungs or two models on the same images.

Both see the same images, so what an image does to one it mostly does to the other, and the
difference is known better than either value. Comparing two intervals by eye misses that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr  # type: ignore[import-untyped]
from scipy.stats import binom  # type: ignore[import-untyped]

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.influence import Areas, areas, spread, swap_variance
from qvit_qiskit.statistics.intervals import (
    IMAGES,
    Interval,
    Source,
    normal_quantile,
    score_limits,
)


@dataclass(frozen=True)
class Difference:
    """The second minus the first of two values on the same images."""

    metric: Literal["AUC", "ACC"]
    first: float
    """The score that is subtracted."""
    second: float
    """The score that it is subtracted from."""
    interval: Interval
    """The difference with its interval."""
    p: float
    """Two-sided, against no difference; nan where nothing can be tested."""
    test: str
    """What the p value is from."""

    def describe(self) -> str:
        """The difference as a phrase."""
        tested = "" if math.isnan(self.p) else f", p = {self.p:.2g} ({self.test})"
        return f"{self.metric} {self.interval.describe()}{tested}"


def auc_difference(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    level: float = 0.95,
    *,
    covers: tuple[Source, ...] = IMAGES,
) -> Difference:
    """Difference of the official AUC.

    The influences of the two are subtracted image by image, which for two classes is DeLong's test
    of correlated ROC curves; Student's t as in `intervals.auc_interval`. Equal ranks are no proof
    of equality, so the variance of two swapped pairs per class, one each way, is always added
    (`influence.swap_variance`). So the width is never zero and does not jump as the first ranks
    differ. Where a class has a single image, or both rank all images perfectly, nothing says how
    far scores may move: the limits of both areas are then combined as if independent, which is
    wide.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        first: Probabilities, shape (n, classes) or (n, labels).
        second: Probabilities of the same images, of the same shape.
        level: Nominal coverage.
        covers: What the interval covers.

    Raises:
        DataError: If labels and probabilities do not fit, or the level is unusable.
    """
    _same_shape(first, second)
    normal_quantile(level)  # refuses what is no level
    one, two = areas(labels, first), areas(labels, second)
    value, influence = two.mean - one.mean, two.influence - one.influence
    error = spread(influence, one.labels)
    perfect = {one.mean, two.mean} <= {0.0, 1.0}
    if math.isnan(value) or math.isnan(error.error) or perfect:
        return _unsupported(one, two, level, covers)
    error = error.plus(swap_variance(one))
    reach = error.reach(level)
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    interval = Interval(value, low, high, level, "paired DeLong", covers)
    return Difference("AUC", one.mean, two.mean, interval, error.p(value), "DeLong")


def _unsupported(one: Areas, two: Areas, level: float, covers: tuple[Source, ...]) -> Difference:
    """A difference whose images' influences are unknown: both intervals, squared and added."""
    value = two.mean - one.mean
    low = high = math.nan
    if not math.isnan(value):
        (low1, high1), (low2, high2) = score_limits(one, level), score_limits(two, level)
        low = value - math.hypot(two.mean - low2, high1 - one.mean)
        high = value + math.hypot(high2 - two.mean, one.mean - low1)
    interval = Interval(value, low, high, level, "Newcombe's score intervals, combined", covers)
    p, test = (1.0, "equal areas") if value == 0 else (math.nan, "none")
    return Difference("AUC", one.mean, two.mean, interval, p, test)


def acc_difference(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    level: float = 0.95,
    *,
    covers: tuple[Source, ...] = IMAGES,
) -> Difference:
    """Difference of the official ACC, with McNemar's test.

    Wald's interval after one image is added to each kind of disagreement (Bonett and Price, J.
    Educ. Behav. Stat. 37, 2012), which is apart from zero width when no image changed.

    With several labels an image's answers are not independent, so each image counts by its share of
    right answers won or lost. An image is then added that wins one of the labels and one that loses
    one, and the test is Durkalski's of clustered pairs (Stat. Med. 22, 2003), which for a single
    label is McNemar's.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        first: Probabilities, shape (n, classes) or (n, labels).
        second: Probabilities of the same images, of the same shape.
        level: Nominal coverage.
        covers: What the interval covers.

    Raises:
        DataError: If labels and probabilities do not fit, or the level is unusable.
    """
    _same_shape(first, second)
    normal_quantile(level)  # refuses what is no level
    truth = np.asarray(labels)
    right, then = metrics.right(truth, first), metrics.right(truth, second)
    if truth.ndim == 2:
        return _of_several(right, then, level, covers)
    n, lost, won = len(truth), int(np.sum(right & ~then)), int(np.sum(~right & then))
    value = (won - lost) / n
    low, high = _adjusted(won, lost, n, level)
    interval = Interval(value, low, high, level, "Bonett-Price", covers)
    values = metrics.accuracy(labels, first), metrics.accuracy(labels, second)
    return Difference("ACC", *values, interval, mcnemar(lost, won), "McNemar, mid-p")


def _of_several(
    right: NDArray[np.bool_],
    then: NDArray[np.bool_],
    level: float,
    covers: tuple[Source, ...],
) -> Difference:
    """Difference of the ACC where each image has several answers, both of shape (n, labels)."""
    change = (then.astype(np.float64) - right).mean(axis=1)  # (n,)
    value, n = float(change.mean()), len(change)
    step = 1 / right.shape[1]
    more = np.concatenate([change, [step, -step]])  # an image that wins one label, one that loses
    reach = normal_quantile(level) * float(more.std()) / math.sqrt(n + 2)
    low, high = max(-1.0, float(more.mean()) - reach), min(1.0, float(more.mean()) + reach)
    interval = Interval(value, low, high, level, "Bonett-Price by image", covers)
    size = math.sqrt(float(np.sum(change**2)))
    p = float(2 * ndtr(-abs(change.sum()) / size)) if size else 1.0
    values = float(right.mean()), float(then.mean())
    return Difference("ACC", *values, interval, p, "Durkalski")


def _adjusted(won: int, lost: int, n: int, level: float) -> tuple[float, float]:
    up, down = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    reach = normal_quantile(level) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(-1.0, up - down - reach), min(1.0, up - down + reach)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p value of McNemar's exact test, mid-p variant.

    Twice the probability of fewer such images on the lesser side, and of the observed number,
    which counts half: the exact test counts it fully and rejects too rarely (Fagerland, Lydersen
    and Laake, BMC Med. Res. Methodol. 13:91, 2013). 1 if both sides are equal.

    Args:
        only_first: Images that only the first answers rightly.
        only_second: Images that only the second answers rightly.
    """
    less, both = min(only_first, only_second), only_first + only_second
    return float(2 * binom.cdf(less, both, 0.5) - binom.pmf(less, both, 0.5))


def _same_shape(first: ArrayLike, second: ArrayLike) -> None:
    shapes = np.shape(first), np.shape(second)
    if shapes[0] != shapes[1]:
        raise DataError(
            f"Expected probabilities of the same images and classes, got shapes {shapes[0]} and "
            f"{shapes[1]}. Compare evaluations of one data set and one subset."
        )

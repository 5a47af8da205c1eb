"""A metric of one model trained from several seeds: its values, and what each image does to them.

A model's score is the mean over its seeds, and over folds and data sets where there are several of
them. An image moves that mean by the mean of what it does to each seed's score, so an interval over
test images follows as for a single training: from the images' influences averaged over the seeds
(`statistics.influence`). Influences and values are linear, so that differences, and differences of
differences, of models that saw the same images are `SeedScores` as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import expit, logit, stdtrit  # type: ignore[import-untyped]

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.influence import (
    Areas,
    Floats,
    Labels,
    Spread,
    areas,
    spread,
    strata_of,
    swap_variance,
)
from qvit_qiskit.statistics.intervals import Interval, normal_quantile, score_limits, wilson

Metric = Literal["AUC", "ACC"]
METRICS: tuple[Metric, ...] = ("AUC", "ACC")
LEVEL = 0.95


@dataclass(frozen=True)
class Part:
    """What a model answers about one data set, or about one fold of it."""

    labels: Labels
    """Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels)."""
    probabilities: Floats  # shape: (seeds, n, classes), or (seeds, n, labels)
    weight: float = 1.0
    """What the part's score counts for in the mean over all parts."""


@dataclass(frozen=True)
class SeedScores:
    """A metric, or a linear combination of it over models."""

    metric: Metric
    values: Floats  # shape: (seeds,)
    weights: tuple[float, ...]
    labels: tuple[Labels, ...]
    """The labels of each part, shape (n,), or (n, labels)."""
    images: tuple[Floats, ...]
    """For each part, shape (n,): the mean over the seeds of an image's influence on the part's AUC;
    or of whether it is answered rightly, of several labels of the share that are."""
    least: float = 0.0
    """The least variance of a difference over images: equal ranks are no proof of equality
    (`influence.swap_variance`). ACC has its own, see `effects`."""
    perfect: bool = False
    """Whether every AUC is 0 or 1, so that nothing says how far scores may move."""

    @property
    def several(self) -> bool:
        """Whether an image has several answers in some part."""
        return any(labels.ndim == 2 for labels in self.labels)

    @property
    def steps(self) -> tuple[float, ...]:
        """For each part by how much a single answer moves its image's share of right ones."""
        return tuple(1.0 if one.ndim == 1 else 1 / one.shape[1] for one in self.labels)

    @property
    def answers(self) -> int:
        """Answers of all seeds to all images."""
        return len(self.values) * sum(one.size for one in self.labels)

    @property
    def value(self) -> float:
        """The mean over the seeds."""
        return float(self.values.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds; nan for a single one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else math.nan

    def spread(self) -> Spread:
        """Of the mean over the seeds, over draws of the test images.

        An AUC's images are drawn within their classes, as in `intervals.auc_interval`; all images
        of an ACC are drawn alike.
        """
        parts: list[Floats] = []
        groups: list[Labels] = []
        for weight, labels, images in zip(self.weights, self.labels, self.images, strict=True):
            influence, group = images, strata_of(labels)
            if self.metric == "ACC":
                n = len(images)
                # of a mean, like DeLong's of an area
                influence = (images - images.mean()) / math.sqrt(n * max(n - 1, 1))
                group = np.zeros(n, np.int64)
            # strata of parts stay apart
            first = 1 + max((int(g.max()) for g in groups), default=-1)
            parts.append(weight * influence)
            groups.append(group + first)
        return spread(np.concatenate(parts), np.concatenate(groups))


def measure(metric: Metric, parts: Sequence[Part]) -> SeedScores:
    """A metric of a model.

    Args:
        metric: AUC or ACC, the official ones.
        parts: Of the same seeds; their weights add up to 1.

    Raises:
        DataError: If labels and probabilities do not fit.
    """
    weights = tuple(part.weight for part in parts)
    labels = tuple(part.labels for part in parts)
    if metric == "ACC":
        right = [_right(part) for part in parts]
        values = [share.mean(axis=1) for share in right]  # each (seeds,)
        images = tuple(share.mean(axis=0) for share in right)  # each (n,)
        return SeedScores(metric, _weighted(weights, values), weights, labels, images)
    curves = [[areas(part.labels, chances) for chances in part.probabilities] for part in parts]
    values = [np.array([one.mean for one in seeds]) for seeds in curves]
    images = tuple(np.mean([one.influence for one in seeds], axis=0) for seeds in curves)
    least = sum(
        weight**2 * swap_variance(seeds[0])
        for weight, seeds in zip(weights, curves, strict=True)
        if len(seeds[0].values)
    )
    perfect = bool(np.isin(values, (0.0, 1.0)).all())  # then influences are 0 and say nothing
    return SeedScores(
        metric, _weighted(weights, values), weights, labels, images, float(least), perfect
    )


def _weighted(weights: Sequence[float], values: Sequence[Floats]) -> Floats:
    return np.asarray(np.sum([w * v for w, v in zip(weights, values, strict=True)], axis=0))


def _right(part: Part) -> Floats:
    """Which answers are right, shape (seeds, n)."""
    return np.array([right_answers(part.labels, chances) for chances in part.probabilities])


def right_answers(labels: Labels, chances: Floats) -> Floats:
    """1 where the official ACC counts an answer as right, else 0; shape (n,).

    Of several labels of an image the share that it counts as right.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        chances: Probabilities, shape (n, classes) or (n, labels).
    """
    right = np.asarray(metrics.right(labels, chances), np.float64)
    return right if right.ndim == 1 else right.mean(axis=1)


def combined(terms: Sequence[tuple[float, SeedScores]]) -> SeedScores:
    """A linear combination of models that saw the same images.

    Args:
        terms: Coefficients and models, seed by seed in the same order.

    Raises:
        DataError: If they did not see the same images.
    """
    first = terms[0][1]
    for _, other in terms:
        same = len(other.labels) == len(first.labels) and all(
            np.array_equal(a, b) for a, b in zip(other.labels, first.labels, strict=True)
        )
        if not same or other.metric != first.metric or len(other.values) != len(first.values):
            raise DataError("Expected one metric of models with the same seeds and images.")
    values = np.sum([factor * other.values for factor, other in terms], axis=0)
    images = tuple(
        np.sum([factor * other.images[k] for factor, other in terms], axis=0)
        for k in range(len(first.labels))
    )
    perfect = all(other.perfect for _, other in terms)
    return replace(first, values=values, images=images, perfect=perfect)


def interval(scores: SeedScores, parts: Sequence[Part], level: float = LEVEL) -> Interval:
    """The interval of a model's mean score over test images, its trainings held fixed.

    With one seed and one part these are `intervals.auc_interval` and `acc_interval`. ACC: Wilson's,
    with as many trials as a proportion would need for the variance of the images' shares of right
    answers; at most as many as there are answers. With several labels as `share_interval`.

    Args:
        scores: The model.
        parts: What it was measured from.
        level: Nominal coverage.
    """
    value = scores.value
    if math.isnan(value):
        return Interval(value, value, value, level, "none", ("test images",))
    if scores.metric == "ACC":
        return _acc_interval(scores, level)
    error = scores.spread()
    if 0 < value < 1 and error.error > 1e-12:  # the logit scale ends at 0 and 1
        reach = error.reach(level) / (value * (1 - value))
        low, high = (float(expit(logit(value) + side * reach)) for side in (-1, 1))
        return Interval(value, low, high, level, "DeLong, logit scale", ("test images",))
    limits = [_limits(part, level) for part in parts]
    low, high = np.average(limits, axis=0, weights=scores.weights)
    method = "Newcombe's score interval"
    return Interval(value, float(low), float(high), level, method, ("test images",))


def _limits(part: Part, level: float) -> tuple[float, float]:
    curves: list[Areas] = [areas(part.labels, chances) for chances in part.probabilities]
    limits = np.mean([score_limits(one, level) for one in curves], axis=0)
    return float(limits[0]), float(limits[1])


def _acc_interval(scores: SeedScores, level: float) -> Interval:
    share = min(max(scores.value, 0.0), 1.0)  # rounding may lead outside
    count = sum(map(len, scores.images))
    single = len(scores.values) == 1 and len(scores.images) == 1 and not scores.several
    if single:
        return replace(wilson(share * count, count, level), value=scores.value)
    doubt = int(scores.several and min(map(len, scores.images)) > 1)
    variance = sum(
        weight**2 * float(images.var(ddof=doubt)) / len(images)
        for weight, images in zip(scores.weights, scores.images, strict=True)
    )
    trials = float(scores.answers if not scores.several else count)
    if variance > 1e-15:
        ratio = 1.0
        if scores.several:  # an image's answers belong together: Student's t over images
            ratio = (normal_quantile(level) / float(stdtrit(count - 1, (1 + level) / 2))) ** 2
        trials = min(scores.answers, share * (1 - share) / variance * ratio)
    return replace(wilson(share * trials, trials, level), value=scores.value)

"""Paired differences between models of a study, over seeds, over test images, and over both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit  # type: ignore[import-untyped]

from qvit_qiskit.statistics.differences import mcnemar
from qvit_qiskit.statistics.influence import Spread
from qvit_qiskit.statistics.intervals import Interval, normal_quantile, seeds_interval
from qvit_qiskit.study.results.seed_scores import LEVEL, Metric, SeedScores, combined


@dataclass(frozen=True)
class Tested:
    """An interval of a difference, and a two-sided p value against none."""

    interval: Interval
    p: float
    """nan where nothing can be tested."""


@dataclass(frozen=True)
class Effect:
    """A difference between models that were trained from the same seeds on the same images."""

    metric: Metric
    value: float
    """The mean over the seeds."""
    base: float
    """The mean of what is subtracted; nan for a difference of differences."""
    seeds: int
    over_seeds: Tested
    """Other trainings, the test images held fixed: Student's t."""
    over_images: Tested
    """Other test images, the trainings held fixed."""
    over_both: Tested
    """Both: the two variances added. The interaction of seeds and images is in either of them, so
    it counts twice, which errs on the wide side. nan for a single seed."""

    @property
    def relative(self) -> float:
        """The difference as a share of what is subtracted."""
        return self.value / self.base if self.base > 0 else math.nan

    @property
    def best(self) -> Tested:
        """Over both where there are several seeds, else over images."""
        return self.over_both if self.seeds > 1 else self.over_images


def effect(terms: Sequence[tuple[float, SeedScores]], level: float = LEVEL) -> Effect:
    """The effect of what distinguishes models.

    Args:
        terms: Coefficients, such as 1 and −1, and models.
        level: Nominal coverage.

    Raises:
        DataError: If the models differ in seeds or images.
    """
    scores = combined(terms)
    images = _acc_images(scores, level) if scores.metric == "ACC" else _auc_images(scores, level)
    seeds = _seeds(scores, level)
    pair = sorted(factor for factor, _ in terms) == [-1, 1]
    base = next(m.value for factor, m in terms if factor == -1) if pair else math.nan
    both = _both(scores, level)
    return Effect(scores.metric, scores.value, base, len(scores.values), seeds, images, both)


def _seeds(scores: SeedScores, level: float) -> Tested:
    value, n = scores.value, len(scores.values)
    if n < 2 or math.isnan(value):
        return Tested(_unknown(value, level), math.nan)
    interval = seeds_interval(scores.values, level)
    error = scores.deviation / math.sqrt(n)
    if not error > 0:
        return Tested(interval, 1.0 if value == 0 else math.nan)
    return Tested(interval, float(2 * stdtr(n - 1, -abs(value) / error)))


def _unknown(value: float, level: float) -> Interval:
    return Interval(value, math.nan, math.nan, level, "none", ())


def _auc_images(scores: SeedScores, level: float) -> Tested:
    """Paired DeLong, for one seed as in `differences.auc_difference`."""
    value, error = scores.value, _image_error(scores)
    if math.isnan(value) or not error.error > 0:
        return Tested(_unknown(value, level), 1.0 if value == 0 else math.nan)
    reach = error.reach(level)
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    interval = Interval(value, low, high, level, "paired DeLong", ("test images",))
    return Tested(interval, error.p(value))


def _image_error(scores: SeedScores) -> Spread:
    """Standard error of a difference over images; nan where nothing tells it."""
    if scores.metric == "ACC":
        return Spread(_adjusted(scores)[1], sum(map(len, scores.images)) - 1)
    return Spread(math.nan, 1) if scores.perfect else scores.spread().plus(scores.least)


def _acc_images(scores: SeedScores, level: float) -> Tested:
    """Bonett and Price's interval and McNemar's test, for several seeds.

    The test is the score test Σd/√Σd² of the images' mean differences d over the seeds, which for
    one seed is McNemar's; there the mid-p value stands in its place. Of several labels d is the
    mean over them, too, and the test Durkalski's.
    """
    centre, error = _adjusted(scores)
    reach = normal_quantile(level) * error
    interval = Interval(
        scores.value, centre - reach, centre + reach, level, "Bonett-Price", ("test images",)
    )
    (d, *others) = scores.images
    plain = len(scores.values) == 1 and not others and not scores.several
    if plain and set(np.unique(d)) <= {-1.0, 0.0, 1.0}:
        return Tested(interval, mcnemar(int(np.sum(d < 0)), int(np.sum(d > 0))))
    null = sum(
        weight**2 * float(np.sum(d**2)) / len(d) ** 2
        for weight, d in zip(scores.weights, scores.images, strict=True)
    )
    p = 2 * ndtr(-abs(scores.value) / math.sqrt(null)) if null > 0 else 1.0
    return Tested(interval, float(p))


def _adjusted(scores: SeedScores) -> tuple[float, float]:
    """Centre and standard error of a difference of ACC after Bonett and Price.

    They add an image that only one side answers rightly and one that only the other does, here to
    each part, so that the error does not vanish where no answer differs. Of several labels such an
    image wins or loses one.
    """
    centre = variance = 0.0
    for weight, d, step in zip(scores.weights, scores.images, scores.steps, strict=True):
        n = len(d) + 2
        mean = float(d.sum()) / n
        centre += weight * mean
        variance += weight**2 * ((float(np.sum(d**2)) + 2 * step**2) / n - mean**2) / n
    return centre, math.sqrt(variance)


def _both(scores: SeedScores, level: float) -> Tested:
    """Student's t with Satterthwaite's degrees of freedom for the sum of the two variances."""
    value, n = scores.value, len(scores.values)
    if n < 2 or math.isnan(value):
        return Tested(_unknown(value, level), math.nan)
    images, seeds = _image_error(scores), Spread(scores.deviation / math.sqrt(n), n - 1)
    parts = [(s.error**2, s.freedom) for s in (images, seeds) if s.error > 0]
    total = sum(variance for variance, _ in parts)
    if math.isnan(images.error) or not total > 0:
        return Tested(_unknown(value, level), 1.0 if value == 0 else math.nan)
    freedom = total**2 / sum(variance**2 / known for variance, known in parts)
    error = math.sqrt(total)
    reach = float(stdtrit(freedom, (1 + level) / 2)) * error
    interval = Interval(
        value, value - reach, value + reach, level, "Student's t", ("test images", "seeds")
    )
    return Tested(interval, float(2 * stdtr(freedom, -abs(value) / error)))

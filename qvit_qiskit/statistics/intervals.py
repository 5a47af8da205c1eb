"""Confidence intervals that say what they cover.

An evaluation is random in up to three ways: other test images could have been drawn, the shots
could have fallen otherwise, and training could have started from another seed. No interval covers
more than it saw vary; `Interval.covers` names it. How often each interval holds the truth is
measured by ``benchmarks/interval_coverage.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import expit, logit, ndtri, stdtrit  # type: ignore[import-untyped]

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.influence import Areas, Floats, areas, of_mean, spread
from qvit_qiskit.suggest import unknown

Source = Literal["test images", "shots", "seeds"]
"""What can vary from one evaluation to the next."""

IMAGES: tuple[Source, ...] = ("test images",)


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval."""

    value: float
    """nan where the data do not determine it, e.g. an AUC with one class."""
    low: float
    """The lower end; nan where the value is."""
    high: float
    """The upper end; nan where the value is."""
    level: float
    """Nominal coverage, e.g. 0.95."""
    method: str
    """For people, e.g. ``"Wilson"``."""
    covers: tuple[Source, ...]
    """What the interval allows to vary; everything else is held fixed."""

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "undefined"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def describe(self) -> str:
        """The interval as a phrase: numbers, level, method and what it covers."""
        if math.isnan(self.value):
            return "undefined: these images do not determine it"
        over = " and ".join(self.covers)
        return f"{self}, {100 * self.level:g} % interval over {over} ({self.method})"


def normal_quantile(level: float) -> float:
    """The two-sided quantile of a level, 1.96 for 0.95.

    Raises:
        DataError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise DataError(f"Expected a level between 0 and 1, such as 0.95, got {level}.")
    return float(ndtri((1 + level) / 2))


def known_option(name: str, given: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option does not have.

    Args:
        name: What the option is called.
        given: The value that came.
        known: The values that there are.

    Raises:
        DataError: If ``given`` is not one of ``known``.
    """
    if given not in known:
        raise DataError(unknown(name, given, known))


def wilson(
    successes: float, n: float, level: float = 0.95, *, covers: tuple[Source, ...] = IMAGES
) -> Interval:
    """Wilson's score interval of a proportion (J. Am. Stat. Assoc. 22, 1927).

    Args:
        successes: How many of ``n``; need not be whole.
        n: Independent trials.
        level: Nominal coverage.
        covers: What the interval covers.

    Raises:
        DataError: If ``successes`` is not within 0…n, n is not positive or the level is unusable.
    """
    if not (n > 0 and 0 <= successes <= n):
        raise DataError(f"Expected 0 to n successes of a positive n, got {successes} of {n}.")
    z2 = normal_quantile(level) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n * n)) / (1 + z2 / n)
    low = centre - reach if successes > 0 else 0.0
    high = centre + reach if successes < n else 1.0
    return Interval(share, low, high, level, "Wilson", covers)


def acc_interval(
    labels: ArrayLike,
    probabilities: ArrayLike,
    level: float = 0.95,
    *,
    covers: tuple[Source, ...] = IMAGES,
) -> Interval:
    """Wilson's interval of the official ACC, `metrics.accuracy`; see `share_interval`.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).
        level: Nominal coverage.
        covers: With shots, each image's noise is in its answer: pass both images and shots.

    Raises:
        DataError: If labels and probabilities do not fit, or the level is unusable.
    """
    return share_interval(metrics.right(labels, probabilities), level, covers=covers)


def share_interval(
    hits: ArrayLike, level: float = 0.95, *, covers: tuple[Source, ...] = IMAGES
) -> Interval:
    """Interval of a share of answers, such as the right ones or those that two models share.

    Wilson's, with one trial per image. With several labels, as many trials as a proportion needs
    for the variance of the images' mean shares (Korn and Graubard, Survey Methodology 24, 1998),
    with Student's t; answers to one image are not independent.

    Args:
        hits: True or false, shape (n,), or with several labels (n, labels).
        level: Nominal coverage.
        covers: What the interval covers.

    Raises:
        DataError: If there is no image, or the level is unusable.
    """
    shares = _per_image(hits)
    share, trials = float(np.mean(shares)), float(len(shares))
    if np.ndim(hits) == 1:
        return wilson(float(shares.sum()), trials, level, covers=covers)
    variance = float(shares.var(ddof=1)) / trials if trials > 1 else 0.0
    if variance > 1e-15:
        factor = (normal_quantile(level) / _t(level, trials - 1)) ** 2
        trials = min(share * (1 - share) / variance * factor, float(np.size(hits)))
    limits = wilson(min(share * trials, trials), trials, level)
    return Interval(share, limits.low, limits.high, level, "Wilson, effective trials", covers)


def auc_interval(
    labels: ArrayLike,
    probabilities: ArrayLike,
    level: float = 0.95,
    *,
    covers: tuple[Source, ...] = IMAGES,
) -> Interval:
    """Interval of the official AUC, `metrics.auc`.

    DeLong's variance, joint over the classes, on the logit scale, with Student's t whose degrees of
    freedom follow from the sizes and tails of the classes (`influence.spread`). Where an AUC of 0
    or 1 or a single image of a class leaves nothing to go by, Newcombe's score interval stands in.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).
        level: Nominal coverage.
        covers: With shots, each image's noise is in its scores: pass both images and shots.

    Returns:
        nan if no class has a ROC curve.

    Raises:
        DataError: If labels and probabilities do not fit, or the level is unusable.
    """
    normal_quantile(level)  # refuses what is no level
    curves = areas(labels, probabilities)
    value = curves.mean
    if math.isnan(value):
        return Interval(value, value, value, level, "none", covers)
    error = spread(curves.influence, curves.labels)
    if not (0 < value < 1 and error.error > 1e-12):
        low, high = score_limits(curves, level)
        return Interval(value, low, high, level, "Newcombe's score interval", covers)
    reach = error.reach(level) / (value * (1 - value))
    low, high = (float(expit(logit(value) + side * reach)) for side in (-1, 1))
    return Interval(value, low, high, level, "DeLong, logit scale", covers)


def score_limits(curves: Areas, level: float) -> tuple[float, float]:
    """Newcombe's score interval of an AUC (Statistics in Medicine 25, 2006, part 2, method 5).

    The limits are the areas A whose standard error, by Hanley and McNeil's formula with m and n
    evened out, makes the observed area just significant; so they differ even at an area of 1, as
    Wilson's do. The mean over several classes takes the mean of their standard errors, as if they
    erred together, which errs on the wide side.

    Args:
        curves: At least one area.
        level: Nominal coverage.
    """
    z, m = normal_quantile(level), curves.positives
    n = len(curves.labels) - m
    half = (m + n) / 2 - 1

    def error(area: float) -> float:
        tails = (1 - area) / (2 - area) + area / (1 + area)
        return float(np.mean(np.sqrt(area * (1 - area) * (1 + half * tails) / (m * n))))

    def lower(area: float) -> float:
        if area <= 0:
            return 0.0
        top = min(area, 1 - 1e-12)  # at 1 the error vanishes, which is no solution
        return float(brentq(lambda limit: area - limit - z * error(limit), 0.0, top))

    return lower(curves.mean), 1 - lower(1 - curves.mean)


def shots_interval(
    value: float,
    draws: ArrayLike,
    level: float = 0.95,
    *,
    scale: Literal["logit", "identity"] = "logit",
    step: float | None = None,
    groups: int = 1,
) -> Interval:
    """Interval of a metric over the shots, the test images held fixed.

    The recorded value holds the shot noise once, a redraw around the recorded outputs holds it
    twice: where noise lowers a metric, redraws lie below the value, and their percentiles would
    too. So only their standard deviation is used, around the recorded value.

    On the logit scale the limits are Wilson's, with as many trials as a proportion at the redraws'
    mean would need for their variance. They are symmetric in the logit and stay apart at 0 and 1.

    N redraws that all agree have no deviation, though the next could differ. With ``step``, the
    rule of succession applies: the deviation is at least what it would be if one of N + 2 redraws
    had moved the metric by one step, √(q(1 − q)) steps with q = 1/(N + 2). Without it, redraws
    that agree have an interval of zero width.

    Args:
        value: The metric of the recorded run; within 0…1 on the logit scale.
        draws: The metric under redraws of the shot noise, shape (draws,), at least two.
        level: Nominal coverage.
        scale: ``"logit"`` for AUC and ACC, ``"identity"`` for what has no bounds.
        step: The least change the metric can show on these images: 1/n for the ACC of n images,
            1/(mn) for the AUC of m positives and n negatives.
        groups: Of draws one after the other, equally many around a truth of each group's own. What
            moves all draws of a group is not noise: the deviation is that within groups.

    Raises:
        DataError: If there are too few draws or no such groups, a value does not fit the scale, or
            the scale is unknown or the step not within 0…1 (logit) or not positive (identity).
    """
    known_option("scale", scale, ("logit", "identity"))
    redrawn = _sample(draws, "redraws of the shot noise")
    covers: tuple[Source, ...] = ("shots",)
    deviation, centre = _deviation(redrawn, groups), float(redrawn.mean())
    factor = _t(level, len(redrawn) - groups)
    moved = 1 / (len(redrawn) + 2)
    if step is not None:
        _check_step(step, scale)
        deviation = max(deviation, step * math.sqrt(moved * (1 - moved)))
    if math.isnan(value) or np.isnan(redrawn).any():
        return Interval(math.nan, math.nan, math.nan, level, "none", covers)
    if scale == "identity":
        reach = factor * deviation
        return Interval(value, value - reach, value + reach, level, "redrawn shots", covers)
    if not (0 <= value <= 1 and redrawn.min() >= 0 and redrawn.max() <= 1):
        raise DataError(
            f"Expected values within 0 and 1, got {value:g} and redraws from {redrawn.min():g} to "
            f'{redrawn.max():g}. Pass scale="identity" for a metric without bounds.'
        )
    if deviation <= 1e-12:
        return Interval(value, value, value, level, "redrawn shots", covers)
    if step is not None:  # at 0 and 1 the one redraw that moved could only move inwards
        centre = min(max(centre, step * moved), 1 - step * moved)
    trials = centre * (1 - centre) / deviation**2 * (normal_quantile(level) / factor) ** 2
    limits = wilson(value * trials, trials, level)
    return Interval(value, limits.low, limits.high, level, "redrawn shots, logit scale", covers)


def _deviation(redrawn: Floats, groups: int) -> float:
    """The standard deviation within groups of equal size."""
    if not (0 < groups <= len(redrawn) // 2 and len(redrawn) % groups == 0):
        raise DataError(
            f"Expected groups of equal size, of at least two redraws, but got {groups} groups of "
            f"{len(redrawn)} redraws."
        )
    return math.sqrt(redrawn.reshape(groups, -1).var(axis=1, ddof=1).mean())


def _check_step(step: float, scale: str) -> None:
    most = 1.0 if scale == "logit" else math.inf
    if not (0 < step <= most and math.isfinite(step)):
        raise DataError(
            f"Expected a positive step{' of at most 1' if scale == 'logit' else ''}, such as 1/n "
            f"for the ACC of n images, got {step}."
        )


def seeds_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of a mean over training seeds, the test images held fixed.

    Args:
        values: One per seed, shape (seeds,), at least two.
        level: Nominal coverage.

    Raises:
        DataError: If there are fewer than two seeds.
    """
    sample = _sample(values, "seeds")
    value = float(sample.mean())
    reach = _t(level, len(sample) - 1) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return Interval(value, value - reach, value + reach, level, "Student's t", ("seeds",))


def mean_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    scale: Literal["log", "identity"] = "log",
    covers: tuple[Source, ...] = IMAGES,
) -> Interval:
    """Interval of a mean over images, such as of a Kullback-Leibler divergence.

    Student's t with degrees of freedom that fall with the tails of the values (`influence.spread`),
    on the log scale for values that cannot be negative. For skewed values this covers better than
    the plain t interval does.

    Args:
        values: Shape (n, …) with n of at least two; an image's own values are averaged first,
            because the rows of one image are not independent.
        level: Nominal coverage.
        scale: ``"identity"`` for values of either sign.
        covers: What the interval covers.

    Raises:
        DataError: If there are fewer than two images, or negative values on the log scale.
    """
    known_option("scale", scale, ("log", "identity"))
    normal_quantile(level)  # refuses what is no level
    sample = _sample(_per_image(values), "images")
    if scale == "log" and sample.min() < -1e-9:
        raise DataError(
            f"Expected values of at least 0 on the log scale, got {sample.min():g}. "
            'Pass scale="identity" for values of either sign.'
        )
    value = float(sample.mean())
    error = of_mean(sample)
    if not (error.error > 0 and math.isfinite(value)):
        return Interval(value, value, value, level, "Student's t", covers)
    reach = error.reach(level)
    if scale == "identity":
        return Interval(value, value - reach, value + reach, level, "Student's t", covers)
    ratio = math.exp(reach / value)
    return Interval(value, value / ratio, value * ratio, level, "Student's t, log scale", covers)


def rms_interval(
    errors: ArrayLike, level: float = 0.95, *, covers: tuple[Source, ...] = IMAGES
) -> Interval:
    """Interval of the root of the mean square of errors: the root of `mean_interval`'s limits.

    Args:
        errors: Shape (n, …) with n images.
        level: Nominal coverage.
        covers: What the interval covers.

    Raises:
        DataError: If there are fewer than two images.
    """
    square = mean_interval(np.asarray(errors, np.float64) ** 2, level, covers=covers)
    value, low, high = (math.sqrt(x) for x in (square.value, square.low, square.high))
    return Interval(value, low, high, level, square.method, covers)


def _per_image(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    # The rows of one image are not independent: it counts once.
    return np.asarray(array.reshape(len(array), -1).mean(axis=1)) if array.ndim > 1 else array


def _sample(values: ArrayLike, what: str) -> Floats:
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or len(sample) < 2:
        raise DataError(
            f"Expected one value for each of at least two {what}, got shape {sample.shape}."
        )
    return sample


def _t(level: float, freedom: float) -> float:
    normal_quantile(level)
    return float(stdtrit(freedom, (1 + level) / 2))

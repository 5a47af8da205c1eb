"""Stratified bootstrap of metrics: images are drawn with replacement within their class.

A resample is a row of counts, how often it holds each image. Metrics are functions of counts, so
that thousands of resamples are evaluated at once and two rungs see the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.influence import Floats, Labels

BLOCK = 2_000_000
"""Counts held at once, which bounds memory at a few hundred MiB."""

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
    step = max(1, BLOCK // len(labels))  # resamples at once
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([statistic(_counts(strata, len(labels), b, rng)) for b in sizes])


def _counts(strata: list[NDArray[np.intp]], n: int, b: int, rng: np.random.Generator) -> Floats:
    counts = np.empty((b, n))
    rows = np.arange(b)[:, None]
    for members in strata:
        m = len(members)
        drawn = rng.integers(m, size=(b, m)) + rows * m  # each resample counts in bins of its own
        counts[:, members] = np.bincount(drawn.ravel(), minlength=b * m).reshape(b, m)
    return counts

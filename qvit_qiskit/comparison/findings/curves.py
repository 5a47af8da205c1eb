"""ROC curves with pointwise bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.comparison.evidence import Rung
from qvit_qiskit.statistics.influence import strata_of
from qvit_qiskit.statistics.resampling import replicates

GRID = np.linspace(0.0, 1.0, 101)
"""False positive rates at which bands, and means over classes, are computed."""
DRAWS = 1000
"""Bootstrap samples of the images, within each class; every rung and class sees the same ones."""


@dataclass(frozen=True)
class Band:
    """A ROC curve and the band that holds each of its points with the confidence asked for."""

    rates: np.ndarray
    """False positive rates of the curve, shape (points,)."""
    curve: np.ndarray
    """True positive rates at them, shape (points,)."""
    low: np.ndarray
    """The band's lower edge at the false positive rates of `GRID`, shape (len(GRID),)."""
    high: np.ndarray
    """Its upper edge at the same rates, shape (len(GRID),)."""


def band(
    labels: np.ndarray, rung: Rung, seed: int, draws: int = DRAWS, confidence: float = 0.95
) -> Band:
    """The curve of one rung and its band, from a stratified bootstrap over images.

    For two classes the curve is that of class 1. For more it is the mean, at each false positive
    rate, of the one-versus-rest curves; the area under it is the official AUC. Classes without
    images, or with all of them, have no curve and are left out, as in the metric. With several
    labels it is the mean of the labels' curves, and images are drawn from all at once.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        rung: Evaluated on the same images.
        seed: Of the bootstrap.
        draws: Bootstrap samples.
        confidence: Of the pointwise percentile band. It covers the choice of test images, and with
            an image the shots of its circuits.
    """
    scores = metrics.probabilities(rung.logits, multi_label=labels.ndim == 2)
    sides = [_Side.of(hit, chance) for hit, chance in metrics.curves(labels, scores)]
    if not sides:
        nothing = np.full(len(GRID), np.nan)
        return Band(GRID, nothing, nothing, nothing)
    whole = np.ones(len(labels))  # every image once
    if len(sides) == 1:
        rates, curve = sides[0].points(whole)
    else:
        rates, curve = GRID, np.mean([side.at(whole) for side in sides], axis=0)
    samples = replicates(
        strata_of(labels),
        lambda counts: np.nanmean([[side.at(row) for row in counts] for side in sides], axis=0),
        draws,
        seed,
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return Band(rates, curve, low, high)


@dataclass(frozen=True)
class _Side:
    """One class against the rest: images from the highest score down, ties together."""

    order: np.ndarray  # shape: (n,)
    positive: np.ndarray  # shape: (n,), in that order
    ends: np.ndarray  # the last image of each distinct score

    @classmethod
    def of(cls, positive: np.ndarray, scores: np.ndarray) -> _Side:
        order = np.argsort(-scores, kind="stable")
        # images of equal scores fall together
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        return cls(order, positive[order], ends)

    def points(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """False and true positive rates where every image counts as often as its weight."""
        ordered = weights[self.order]
        right = np.cumsum(ordered * self.positive)[self.ends]
        wrong = np.cumsum(ordered * ~self.positive)[self.ends]
        with np.errstate(invalid="ignore"):  # a draw of images may lack a label: no curve
            return (
                np.concatenate([[0.0], wrong / wrong[-1]]),
                np.concatenate([[0.0], right / right[-1]]),
            )

    def at(self, weights: np.ndarray) -> np.ndarray:
        """True positive rates at the rates of GRID; the upper end of a vertical step."""
        rates, curve = self.points(weights)
        if np.isnan(rates[-1]):
            return np.full(len(GRID), np.nan)
        return np.interp(GRID, rates, curve)

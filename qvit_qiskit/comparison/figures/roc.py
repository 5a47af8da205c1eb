"""ROC curves with pointwise bands, every rung beside the exact one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit import metrics
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.data import Rung
from qvit_qiskit.comparison.figures.style import Look, canvas, folded, looks, short
from qvit_qiskit.statistics.resampling import replicates

GRID = np.linspace(0.0, 1.0, 101)
"""False positive rates at which bands, and means over classes, are computed."""
SIDE = 2.25
"""Inches of a panel."""


@dataclass(frozen=True)
class Band:
    """A ROC curve and the band that holds each of its points with the confidence asked for."""

    rates: np.ndarray  # shape: (points,), false positive rates of the curve
    curve: np.ndarray  # shape: (points,), true positive rates
    low: np.ndarray  # shape: (len(GRID),), at the rates of GRID
    high: np.ndarray  # shape: (len(GRID),)


def draw(comparison: Comparison, draws: int = 1000, confidence: float = 0.95) -> Figure:
    """One panel for each rung: its ROC curve and band before those of the exact rung.

    For two classes the curve is that of class 1. For more it is the mean, at each false positive
    rate, of the one-versus-rest curves; the area under it is the official AUC.

    Args:
        comparison: What is compared.
        draws: Bootstrap samples of the images, within each class. Every rung and class sees the
            same samples.
        confidence: Of the pointwise percentile bands. They cover the choice of test images, and
            with an image the shots of its circuits.
    """
    bands = {rung.name: band(comparison, rung, draws, confidence) for rung in comparison.rungs}
    style = looks(comparison)
    exact = comparison.exact
    shown = comparison.rungs[1:] or (exact,)
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = canvas(SIDE * rows + 0.7, SIDE * columns + 0.5)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for place, rung in enumerate(shown):
        panel = axes[place]
        line = _line(panel, bands[exact.name], style[exact.name], 0.13)
        if rung is not exact:
            _line(panel, bands[rung.name], style[rung.name], 0.25)
            panel.set_title(folded(rung.name, 26), fontsize="medium")
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        panel.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    figure.legend(
        [line], [short(exact.name)], loc="outside upper right", fontsize="small", frameon=False
    )
    average = "" if len(comparison.class_names) == 2 else ", mean over classes"
    figure.supxlabel("false positive rate", fontsize="medium")
    figure.supylabel("true positive rate" + average, fontsize="medium")
    return figure


def _line(axes: Any, found: Band, look: Look, alpha: float) -> Any:
    axes.fill_between(GRID, found.low, found.high, color=look.color, alpha=alpha, linewidth=0)
    (line,) = axes.plot(
        found.rates, found.curve, color=look.color, linestyle=look.line, linewidth=1.4
    )
    return line


def band(comparison: Comparison, rung: Rung, draws: int, confidence: float) -> Band:
    """The curve of one rung and its band, from a stratified bootstrap over images.

    Classes without images, or with all of them, have no curve and are left out, as in the metric.
    """
    labels, scores = comparison.labels, metrics.softmax(rung.logits)
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    known = [k for k in classes if 0 < np.count_nonzero(labels == k) < len(labels)]
    sides = [_Side.of(labels == k, scores[:, k]) for k in known]
    if not sides:
        nothing = np.full(len(GRID), np.nan)
        return Band(GRID, nothing, nothing, nothing)
    whole = np.ones(len(labels))
    if len(sides) == 1:
        rates, curve = sides[0].points(whole)
    else:
        rates, curve = GRID, np.mean([side.at(whole) for side in sides], axis=0)
    samples = replicates(
        labels,
        lambda counts: np.mean([[side.at(row) for row in counts] for side in sides], axis=0),
        draws,
        comparison.seed,
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
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        return cls(order, positive[order], ends)

    def points(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """False and true positive rates where every image counts as often as its weight."""
        ordered = weights[self.order]
        right = np.cumsum(ordered * self.positive)[self.ends]
        wrong = np.cumsum(ordered * ~self.positive)[self.ends]
        return (
            np.concatenate([[0.0], wrong / wrong[-1]]),
            np.concatenate([[0.0], right / right[-1]]),
        )

    def at(self, weights: np.ndarray) -> np.ndarray:
        """True positive rates at the rates of GRID; the upper end of a vertical step."""
        return np.interp(GRID, *self.points(weights))

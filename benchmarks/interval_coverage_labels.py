"""How often intervals cover the truth where an image may have several labels.

    python benchmarks/interval_coverage_labels.py [--draws 400] [--images 60 200]

Fourteen labels of 6 to 35 % prevalence go together by a common cause, and so do the errors of an
image. The truth is that of 200,000 images. A second model sees less; its differences are covered,
too.
"""

from __future__ import annotations

import argparse

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.statistics.differences import acc_difference, auc_difference
from qvit_qiskit.statistics.intervals import Interval, acc_interval, auc_interval

LABELS = 14
PREVALENCE = np.linspace(-3, -0.5, LABELS)

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(rng: np.random.Generator, n: int) -> Drawn:
    """Labels and the probabilities of two models, all of shape (n, labels)."""
    cause = 1.2 * rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, LABELS))
    labels = (rng.random((n, LABELS)) < metrics.sigmoid(PREVALENCE + cause)).astype(int)
    errors = 0.5 * rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, LABELS))
    logits = 1.2 * labels + PREVALENCE / 2 - 0.6 + errors
    other = 0.9 * logits + 0.35 * rng.normal(size=(n, LABELS))
    return labels, metrics.sigmoid(logits), metrics.sigmoid(other)


def truth(drawn: Drawn) -> dict[str, float]:
    """What the intervals should cover."""
    labels, first, second = drawn
    acc, auc = metrics.accuracy(labels, first), metrics.auc(labels, first)
    return {
        "ACC": acc,
        "AUC": auc,
        "ACC difference": metrics.accuracy(labels, second) - acc,
        "AUC difference": metrics.auc(labels, second) - auc,
    }


def intervals(drawn: Drawn) -> dict[str, Interval]:
    """What is told of one test set."""
    labels, first, second = drawn
    return {
        "ACC": acc_interval(labels, first),
        "AUC": auc_interval(labels, first),
        "ACC difference": acc_difference(labels, first, second).interval,
        "AUC difference": auc_difference(labels, first, second).interval,
    }


def main() -> None:
    """Draw test sets and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--images", type=int, nargs="+", default=[60, 200])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    known = truth(draw(rng, 200_000))
    for n in options.images:
        told = [intervals(draw(rng, n)) for _ in range(options.draws)]
        for name, value in known.items():
            hits = np.mean([one[name].low <= value <= one[name].high for one in told])
            width = np.mean([one[name].high - one[name].low for one in told])
            print(
                f"{n:5} images  {name:15} covered {hits:.1%} of {options.draws}, width {width:.3f}"
            )


if __name__ == "__main__":
    main()

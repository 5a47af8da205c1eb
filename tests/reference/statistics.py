"""Metrics, their errors and their tests by definition: loops over pairs and images."""

from __future__ import annotations

from math import comb

import numpy as np

from qvit_qiskit.metrics import auc


def kernel(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Which of each pair of scores is in order, shape (m, n): 1, ½ for a tie, 0."""
    return np.array([[float(x > y) + 0.5 * float(x == y) for y in negative] for x in positive])


def delong_covariance(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """DeLong's covariance of two areas from all pairs; ``first`` twice gives a variance.

    Args:
        labels: 0 or 1, shape (n,).
        first: Scores of class 1, shape (n,).
        second: Scores of the same images by another model.
    """
    tables = [kernel(scores[labels == 1], scores[labels == 0]) for scores in (first, second)]
    m, n = tables[0].shape
    a, b = (table - table.mean() for table in tables)
    of_positives = sum(a[i].mean() * b[i].mean() for i in range(m)) / (m - 1)
    of_negatives = sum(a[:, j].mean() * b[:, j].mean() for j in range(n)) / (n - 1)
    return of_positives / m + of_negatives / n


def left_out_influences(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How each image moves each one-versus-rest area, by leaving it out, shape (n, classes)."""
    found = np.empty(probabilities.shape)
    for k in range(probabilities.shape[1]):
        own = labels == k
        binary = np.stack([1 - probabilities[:, k], probabilities[:, k]], axis=1)
        whole = auc(own.astype(int), binary)
        for i in range(len(labels)):
            rest = np.arange(len(labels)) != i
            group = np.count_nonzero(own == own[i])
            without = auc(own[rest].astype(int), binary[rest])
            found[i, k] = (whole - without) * np.sqrt((group - 1) / group)
    return found


def freedom(influence: np.ndarray, groups: np.ndarray) -> float:
    """Degrees of freedom of a sum of squared influences, group by group."""
    doubt = 0.0
    for group in set(groups.tolist()):
        squares = [float(x) ** 2 for x, g in zip(influence, groups, strict=True) if g == group]
        normal = 2 * sum(squares) ** 2 / (len(squares) - 1)
        doubt += max(normal, len(squares) * float(np.var(squares)))
    return 2 * float(np.sum(influence**2)) ** 2 / doubt


def hanley_mcneil_error(area: float, m: int, n: int) -> float:
    """Standard error of an area by Hanley and McNeil's exponential model, with even classes."""
    even = (m + n) / 2
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (even - 1) * (one - area**2) + (even - 1) * (two - area**2)
    return np.sqrt(spread / (m * n))


def mid_p(b: int, c: int) -> float:
    """McNemar's mid-p value: twice one side, of which the observed outcome counts half."""
    outcomes = [comb(b + c, k) / 2 ** (b + c) for k in range(b + c + 1)]
    return 2 * (sum(outcomes[: min(b, c)]) + outcomes[b] / 2)

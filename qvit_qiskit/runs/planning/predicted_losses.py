"""How answers with noise and shots compare with the exact model's, over many draws of them.

No label is read: AUC and ACC are those with labels drawn from the exact model's own probabilities,
as if the model knew how likely it is to be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit import metrics

SURE = 0.95
"""The probability, over shots, seats and labels, with which a plan meets its request."""
LABEL_DRAWS = 500
"""Draws of all labels from the exact model's probabilities."""
MOST_ENTRIES = 2**25
"""Of the drawn labels as an array; where there are very many images fewer labels are drawn."""


@dataclass(frozen=True)
class Shortfall:
    """How much a score falls short of the exact model's, over draws."""

    values: np.ndarray  # shape: (draws, label draws), or (draws, 1)

    @property
    def mean(self) -> float:
        """The mean loss."""
        return float(self.values.mean())

    @property
    def bound(self) -> float:
        """What the loss stays below with a probability of 95 %."""
        return float(np.quantile(self.values, SURE))

    def within(self, most: float) -> float:
        """The share of draws that lose at most so much."""
        return float((self.values <= most).mean())


@dataclass(frozen=True)
class Prediction:
    """What an evaluation is predicted to lose against the exact model."""

    auc: Shortfall
    acc: Shortfall
    disagreement: Shortfall
    """The share of images, or of their labels, that are answered otherwise."""

    @property
    def draws(self) -> int:
        """How often shots and seats were drawn."""
        return len(self.disagreement.values)


def drawn_labels(
    logits: np.ndarray, rng: np.random.Generator, *, several: bool, draws: int = LABEL_DRAWS
) -> np.ndarray:
    """Labels as the exact model's own probabilities make them.

    Args:
        logits: Of the exact model, shape (n, classes) or (n, labels).
        rng: The random stream.
        several: Whether each column is a label of its own.
        draws: How often all labels are drawn, at most.

    Returns:
        Indicators of classes or labels, shape (draws, n, classes).
    """
    chances = metrics.probabilities(logits, multi_label=several)
    draws = max(20, min(draws, MOST_ENTRIES // chances.size))
    if several:
        return (rng.random((draws, *chances.shape)) < chances).astype(np.float32)
    points = rng.random((draws, len(chances), 1)) * chances.sum(axis=1)[:, None]
    classes = (points > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=-1)  # (draws, n)
    return indicators(classes, chances.shape[1])


def indicators(classes: np.ndarray, count: int) -> np.ndarray:
    """Classes (…, n) as one indicator for each of so many classes, (…, n, count)."""
    return (classes[..., None] == np.arange(count)).astype(np.float32)


def predict_losses(
    exact: np.ndarray, drawn: np.ndarray, labels: np.ndarray, *, several: bool
) -> Prediction:
    """Losses of drawn answers against the exact model's.

    Args:
        exact: Its logits, shape (n, classes).
        drawn: Logits of every draw, shape (draws, n, classes).
        labels: Indicators of classes or labels, shape (label draws, n, classes).
        several: Whether each column is a label of its own.
    """
    scores = [metrics.probabilities(one, multi_label=several) for one in (exact, *drawn)]
    answers = np.stack([metrics.answers(one, multi_label=several) for one in scores])
    areas = _aucs(_columns(np.stack(scores), several), _columns(labels, several))
    hits = answers if several else indicators(answers, labels.shape[2])
    rights = _accuracies(hits.astype(np.float32), labels, several)
    others = (answers[1:] != answers[0]).reshape(len(drawn), -1).mean(axis=1)
    return Prediction(
        Shortfall(areas[0] - areas[1:]),
        Shortfall(rights[0] - rights[1:]),
        Shortfall(others[:, None]),
    )


def join_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Predictions from different draws, the labels being the same, as one."""
    return Prediction(
        Shortfall(np.concatenate([part.auc.values for part in parts])),
        Shortfall(np.concatenate([part.acc.values for part in parts])),
        Shortfall(np.concatenate([part.disagreement.values for part in parts])),
    )


def _columns(table: np.ndarray, several: bool) -> np.ndarray:
    """The columns that AUC looks at: of two classes the second alone."""
    return table[..., 1:] if table.shape[-1] == 2 and not several else table


def _aucs(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean areas under the ROC curves, shape (draws, label draws), from ranks.

    A class or label without images, or with all of them, is left out of the mean, as `metrics.auc`
    leaves it out; where no curve is left the area counts as 0, so that nothing can be lost.
    """
    # where nothing is planned nobody need wait a quarter of a second for this import
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    ranks = rankdata(scores, axis=1)  # (D, n, C)
    n = scores.shape[1]
    total = np.zeros((len(scores), len(labels)))
    counted = np.zeros(len(labels))
    for column in range(scores.shape[2]):
        truth = labels[:, :, column].astype(float)  # (L, n)
        positive = truth.sum(axis=1)  # (L,)
        pairs = positive * (n - positive)
        above = ranks[:, :, column] @ truth.T - positive * (positive + 1) / 2  # (D, L)
        total += np.where(pairs > 0, above / np.maximum(pairs, 1), 0.0)
        counted += pairs > 0
    return np.asarray(total / np.maximum(counted, 1))


def _accuracies(answers: np.ndarray, labels: np.ndarray, several: bool) -> np.ndarray:
    """Shares of right answers, shape (draws, label draws).

    Args:
        answers: Indicators, shape (D, n, C).
        labels: Indicators, shape (L, n, C).
        several: Whether each column is an answer.
    """
    flat, truth = answers.reshape(len(answers), -1), labels.reshape(len(labels), -1)
    both = (flat @ truth.T).astype(float)
    if not several:
        return np.asarray(both / answers.shape[1])
    neither = ((1 - flat) @ (1 - truth).T).astype(float)
    return np.asarray((both + neither) / flat.shape[1])

"""The official MedMNIST metrics, AUC and ACC, as `medmnist.evaluator` defines them.

They are functions of probabilities. For two classes both look at the probability of class 1 alone:
ACC asks whether it is above 0.5. For more classes AUC is the mean over the classes of
one-versus-rest AUCs, which changes if logits are passed for probabilities. Where an image may have
several labels, shape (n, labels) of 0 and 1, each label has a probability of its own: AUC is the
mean over the labels of their AUCs, ACC the share of all n · labels answers that are right.
"""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvit_qiskit.card import Card, Facts
from qvit_qiskit.exceptions import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Scores(Card):
    """Both metrics of one set of predictions."""

    auc: float
    """nan if no class can be told from the rest, see `auc`."""
    acc: float
    """The share of right answers; with several labels the mean over labels."""
    n: int
    """How many images were scored."""

    def card(self) -> tuple[str, Facts]:
        """What a shell and a notebook show."""
        return "Scores", {"AUC": f"{self.auc:.3f}", "ACC": f"{self.acc:.3f}", "images": self.n}


def score(labels: ArrayLike, logits: ArrayLike) -> Scores:
    """Both metrics from a model's logits.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        logits: Shape (n, classes) or (n, labels), of any float type.

    Raises:
        DataError: If shapes do not fit, a label is not a class, or a logit is not finite.
    """
    scores = probabilities(logits, multi_label=np.ndim(labels) == 2)
    return Scores(auc=auc(labels, scores), acc=accuracy(labels, scores), n=len(scores))


def probabilities(logits: ArrayLike, *, multi_label: bool = False) -> Floats:
    """What logits mean: the softmax of each row, or with several labels the sigmoid of each entry.

    Args:
        logits: Shape (n, classes) or (n, labels).
        multi_label: Whether an image may have several labels.

    Raises:
        DataError: If a logit is not finite.
    """
    return sigmoid(logits) if multi_label else softmax(logits)


def softmax(logits: ArrayLike) -> Floats:
    """Probabilities in float64; a constant added to a row changes nothing.

    Args:
        logits: Shape (n, classes).

    Raises:
        DataError: If a logit is not finite.
    """
    values = _finite(logits)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))  # none overflows
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: ArrayLike) -> Floats:
    """The probability of each label in float64; it rises with the logit, also where that is large.

    Args:
        logits: Of any shape.

    Raises:
        DataError: If a logit is not finite.
    """
    values = _finite(logits)
    small = np.exp(-np.abs(values))  # never overflows
    return np.asarray(np.where(values >= 0, 1 / (1 + small), small / (1 + small)))


def _finite(logits: ArrayLike) -> Floats:
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            "Expected finite logits, got NaN or infinity. "
            "Check the checkpoint, or train with a lower learning rate."
        )
    return values


def auc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Area under the ROC curve: of class 1 for two classes, else the mean of one-versus-rest.

    With several labels it is the mean over the labels. A class or label without images, or with
    all of them, has no ROC curve and is left out of the mean; if none has one, the result is nan.
    On such labels the official evaluator is undefined (scikit-learn answers nan or raises,
    depending on its version).

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    areas = [_area(truth, scores) for truth, scores in curves(labels, probabilities)]
    # added one by one, as there: from Python 3.12 on `sum` rounds otherwise
    return reduce(add, areas) / len(areas) if areas else float("nan")


def _area(truth: NDArray[np.bool_], scores: Floats) -> float:
    """Area under one ROC curve, to the last bit the official evaluator's (`roc_auc_score`).

    The curve leaves out points on straight lines; the area is a sum of trapezoids, in this order.
    """
    # PERF: scikit-learn's checks of its arguments take a millisecond a curve, in every epoch
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(truth[order], dtype=np.float64)
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of equal scores
    hits = hits[ends]
    misses = 1 + ends - hits
    turns = np.flatnonzero((np.diff(misses, 2) != 0) | (np.diff(hits, 2) != 0)) + 1
    kept = [0, *turns, len(ends) - 1] if len(ends) > 2 else list(range(len(ends)))
    rates = [np.append(0.0, counts[kept]) / counts[-1] for counts in (misses, hits)]
    return float(np.trapezoid(rates[1], rates[0]))


def curves(labels: ArrayLike, probabilities: ArrayLike) -> list[tuple[NDArray[np.bool_], Floats]]:
    """The ROC curves whose areas `auc` averages, each as truth and scores, both of shape (n,).

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    truth, scores = checked(labels, probabilities)
    if truth.ndim == 2:
        hits = {k: truth[:, k] == 1 for k in range(truth.shape[1])}
    else:
        # of two classes one curve tells all
        hits = {k: truth == k for k in ([1] if scores.shape[1] == 2 else range(scores.shape[1]))}
    return [(hit, scores[:, k]) for k, hit in hits.items() if 0 < np.count_nonzero(hit) < len(hit)]


def accuracy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Share of right answers: class 1 if its probability is above 0.5, or the likeliest of many.

    With several labels every label of every image is an answer: yes above 0.5.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    return float(np.mean(right(labels, probabilities)))


def right(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Which answers `accuracy` counts as right, of the labels' shape; raises what it raises.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).
    """
    truth, scores = checked(labels, probabilities)
    return np.asarray(answers(scores, multi_label=truth.ndim == 2) == truth)


def answers(probabilities: Floats, *, multi_label: bool = False) -> NDArray[np.int64]:
    """Predicted classes: class 1 of two if its probability is above 0.5, or the likeliest of many.

    Args:
        probabilities: Shape (n, classes) or (n, labels).
        multi_label: Whether each column is a label of its own, answered 1 above 0.5.

    Returns:
        Shape (n,); with several labels (n, labels).
    """
    if multi_label:
        return np.asarray(probabilities > 0.5, np.int64)
    two = probabilities.shape[1] == 2
    # the official rule, ties to class 0
    likely = probabilities[:, 1] > 0.5 if two else probabilities.argmax(axis=1)
    return np.asarray(likely, np.int64)


def checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[Any], Floats]:
    """Labels and probabilities as arrays that fit each other.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        probabilities: Shape (n, classes) or (n, labels).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    truth, scores = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim == 2:
        return _checked_labels(truth, scores), scores
    if (
        scores.ndim != 2
        or scores.shape[1] < 2
        or not len(scores)
        or truth.shape != scores.shape[:1]
    ):
        raise DataError(
            "Expected labels of shape (n,) and probabilities of shape (n, classes), "
            f"got {truth.shape} and {scores.shape}. Pass one row per image."
        )
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise DataError(
            f"Expected integer labels 0…{scores.shape[1] - 1}, got {truth.dtype} "
            f"{truth.min()}…{truth.max()}. Use a model with as many classes as the data set."
        )
    if not (np.all(scores >= 0) and np.allclose(scores.sum(axis=1), 1, rtol=0, atol=1e-3)):
        raise DataError(
            "Expected probabilities, each row adding up to 1, got NaN or other numbers. "
            "Pass logits to `score`, or through `softmax` first."
        )
    return truth, scores


def _checked_labels(truth: NDArray[Any], scores: Floats) -> NDArray[Any]:
    """Several labels of each image, checked."""
    if truth.shape != scores.shape or not truth.size:
        raise DataError(
            "Expected labels and probabilities of the same shape (n, labels), "
            f"got {truth.shape} and {scores.shape}. Use a model with one output per label."
        )
    if truth.dtype.kind not in "iu" or not np.isin(truth, (0, 1)).all():
        raise DataError(
            f"Expected 0 or 1 for each label of an image, got {truth.dtype} "
            f"{truth.min()}…{truth.max()}. Pass classes as shape (n,)."
        )
    if not np.all((scores >= 0) & (scores <= 1)):
        raise DataError(
            "Expected a probability of each label, got NaN or numbers outside 0…1. "
            "Pass logits to `score`, or through `sigmoid` first."
        )
    return truth

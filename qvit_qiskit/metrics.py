"""The official MedMNIST metrics, AUC and ACC, as `medmnist.evaluator` defines them.

They are functions of probabilities. For two classes both look at the probability of class 1 alone:
ACC asks whether it is above 0.5. For more classes AUC is the mean over the classes of
one-versus-rest AUCs, which changes if logits are passed for probabilities.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvit_qiskit.exceptions import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Both metrics of one set of predictions."""

    auc: float
    """nan if no class can be told from the rest, see `auc`."""
    acc: float
    n: int
    """How many images were scored."""


def score(labels: ArrayLike, logits: ArrayLike) -> Scores:
    """Both metrics from a model's logits.

    Args:
        labels: Classes, shape (n,).
        logits: Shape (n, classes), of any float type.

    Raises:
        DataError: If shapes do not fit, a label is not a class, or a logit is not finite.
    """
    probabilities = softmax(logits)
    return Scores(
        auc=auc(labels, probabilities),
        acc=accuracy(labels, probabilities),
        n=len(probabilities),
    )


def softmax(logits: ArrayLike) -> Floats:
    """Probabilities in float64; a constant added to a row changes nothing.

    Args:
        logits: Shape (n, classes).

    Raises:
        DataError: If a logit is not finite.
    """
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            "Expected finite logits, got NaN or infinity. "
            "Check the checkpoint, or train with a lower learning rate."
        )
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def auc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Area under the ROC curve: of class 1 for two classes, else the mean of one-versus-rest.

    A class without images, or with all of them, has no ROC curve and is left out of the mean;
    if no class has one, the result is nan. On such labels the official evaluator is undefined
    (scikit-learn answers nan or raises, depending on its version).

    Args:
        labels: Classes, shape (n,).
        probabilities: Shape (n, classes).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    from sklearn.metrics import roc_auc_score

    truth, scores = _checked(labels, probabilities)
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    areas = [
        float(roc_auc_score(truth == k, scores[:, k]))
        for k in classes
        if 0 < np.count_nonzero(truth == k) < len(truth)
    ]
    return sum(areas) / len(areas) if areas else float("nan")


def accuracy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Share of right answers: class 1 if its probability is above 0.5, or the likeliest of many.

    Args:
        labels: Classes, shape (n,).
        probabilities: Shape (n, classes).

    Raises:
        DataError: If shapes do not fit, a label is not a class, or these are no probabilities.
    """
    return float(np.mean(right(labels, probabilities)))


def right(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Which answers `accuracy` counts as right, shape (n,); takes and raises what it does."""
    truth, scores = _checked(labels, probabilities)
    return np.asarray(answers(scores) == truth)


def answers(probabilities: Floats) -> NDArray[np.int64]:
    """Predicted classes: class 1 of two if its probability is above 0.5, or the likeliest of many.

    Args:
        probabilities: Shape (n, classes).
    """
    two = probabilities.shape[1] == 2
    found = probabilities[:, 1] > 0.5 if two else probabilities.argmax(axis=1)
    return np.asarray(found, np.int64)


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[Any], Floats]:
    truth = np.asarray(labels)
    scores = np.asarray(probabilities, dtype=np.float64)
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

"""What every rung answers, image by image, and which answers are others than the exact rung's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.comparison.evidence import Evidence, Rung


@dataclass(frozen=True)
class ImageAnswers:
    """The answers of one rung."""

    probabilities: np.ndarray
    """Of every class or label, shape (n, classes) or (n, labels)."""
    answers: np.ndarray
    """Predicted classes, shape (n,), or with several labels 0 and 1, shape (n, labels)."""
    differs: np.ndarray
    """Whether an answer is another than the exact rung's, of the shape of ``answers``."""
    changed: tuple[int, ...]
    """The images with such an answer, counted from 0."""
    agreement: np.ndarray
    """Probability of the exact rung's answer, shape (n,); with several labels the product of
    theirs."""
    margins: np.ndarray
    """How sure the rung is, shape (n,): the likeliest class's probability less that of the next;
    with several labels twice the distance of the least certain one from one half."""


def by_image(evidence: Evidence) -> dict[str, ImageAnswers]:
    """The answers of every rung, by its name.

    Args:
        evidence: Rungs on the same images; the first is the exact one.
    """
    several = evidence.multi_label
    chances = {
        rung.name: metrics.probabilities(rung.logits, multi_label=several)
        for rung in evidence.rungs
    }
    answers = {
        name: metrics.answers(chance, multi_label=several) for name, chance in chances.items()
    }
    exact = answers[evidence.exact.name]
    return {rung.name: _of(rung, chances, answers, exact) for rung in evidence.rungs}


def image_order(
    answers: Mapping[str, ImageAnswers], exact: str, rungs: Sequence[str]
) -> tuple[int, ...]:
    """The images whose answer one of the rungs changed first, each part by the exact margin.

    Args:
        answers: The answers, by rung.
        exact: The name of the exact rung.
        rungs: Names of the rungs that are looked at.
    """
    margins = answers[exact].margins
    changed = np.isin(np.arange(len(margins)), [k for name in rungs for k in answers[name].changed])
    return tuple(int(k) for k in np.lexsort((margins, ~changed)))


def _of(
    rung: Rung, chances: dict[str, np.ndarray], answers: dict[str, np.ndarray], exact: np.ndarray
) -> ImageAnswers:
    differs = answers[rung.name] != exact
    images = differs.any(axis=1) if differs.ndim == 2 else differs
    changed = tuple(int(k) for k in np.flatnonzero(images))
    chance = chances[rung.name]
    return ImageAnswers(
        chance,
        answers[rung.name],
        differs,
        changed,
        _agreement(chance, exact),
        _margins(chance, exact),
    )


def _agreement(chances: np.ndarray, exact: np.ndarray) -> np.ndarray:
    if exact.ndim == 2:
        return np.asarray(np.where(exact == 1, chances, 1 - chances).prod(axis=1))
    return np.asarray(chances[np.arange(len(exact)), exact])


def _margins(chances: np.ndarray, exact: np.ndarray) -> np.ndarray:
    if exact.ndim == 2:
        return np.asarray(np.abs(2 * chances - 1).min(axis=1))
    ranked = np.sort(chances, axis=1)
    return np.asarray(ranked[:, -1] - ranked[:, -2])

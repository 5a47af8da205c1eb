"""What every rung answers, image by image, and which answers are others than the exact rung's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.comparison.data import Evidence, Rung


@dataclass(frozen=True)
class ByImage:
    """The answers of one rung."""

    probabilities: np.ndarray  # shape: (n, classes), or (n, labels)
    answers: np.ndarray
    """Predicted classes, shape (n,), or with several labels 0 and 1, shape (n, labels)."""
    differs: np.ndarray
    """Whether an answer is another than the exact rung's, of the shape of ``answers``."""
    changed: tuple[int, ...]
    """The images with such an answer, counted from 0."""


def by_image(evidence: Evidence) -> dict[str, ByImage]:
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


def _of(
    rung: Rung, chances: dict[str, np.ndarray], answers: dict[str, np.ndarray], exact: np.ndarray
) -> ByImage:
    differs = answers[rung.name] != exact
    images = differs.any(axis=1) if differs.ndim == 2 else differs
    changed = tuple(int(k) for k in np.flatnonzero(images))
    return ByImage(chances[rung.name], answers[rung.name], differs, changed)

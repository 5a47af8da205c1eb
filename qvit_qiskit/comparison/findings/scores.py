"""What is told of each rung: values with intervals, and differences from the exact rung."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.statistics.differences import Difference, acc_difference, auc_difference
from qvit_qiskit.statistics.intervals import (
    IMAGES,
    Interval,
    Source,
    acc_interval,
    auc_interval,
    mean_interval,
    rms_interval,
    share_interval,
    shots_interval,
)

IMAGES_AND_SHOTS: tuple[Source, ...] = ("test images", "shots")


@dataclass(frozen=True)
class RungScores:
    """One rung; what needs shots or another rung is None where there is none."""

    rung: Rung
    auc: Interval
    acc: Interval
    auc_shots: Interval | None
    """The interval over the shots alone, the images held fixed."""
    acc_shots: Interval | None
    agreement: Interval | None
    """Share of images with the exact rung's answer; with several labels, of all their answers."""
    kl: Interval | None
    """KL(exact ‖ rung) of the predicted probabilities, nats, mean over images."""
    error: Interval | None
    """Root mean square of the quantum layers' outputs minus the exact ones at the same angles."""
    auc_difference: Difference | None
    """The difference from the exact rung; None for that rung itself."""
    acc_difference: Difference | None


@dataclass(frozen=True)
class ModelDifference:
    """The exact rung of one model less that of another, on the same images."""

    model: str
    than: str
    difference: Difference


def scores(evidence: Evidence) -> tuple[RungScores, ...]:
    """Every rung of a comparison, the exact one first."""
    return tuple(_score(evidence, rung) for rung in evidence.rungs)


def _score(evidence: Evidence, rung: Rung) -> RungScores:
    labels, exact = evidence.labels, evidence.exact
    probabilities, reference = (
        metrics.probabilities(r.logits, multi_label=evidence.multi_label) for r in (rung, exact)
    )
    covers = covered(rung)
    first = rung is exact
    same = np.equal(
        *(metrics.answers(p, multi_label=evidence.multi_label) for p in (probabilities, reference))
    )
    return RungScores(
        rung=rung,
        auc=auc_interval(labels, probabilities, covers=covers),
        acc=acc_interval(labels, probabilities, covers=covers),
        auc_shots=_over_shots(rung, labels, metrics.auc, _smallest_step(labels), rung.truths),
        # normal noise of logits understates how often an answer flips that was settled early: in
        # simulations the deviation over truths as well covers, that around one does not
        acc_shots=_over_shots(rung, labels, metrics.accuracy, 1 / labels.size, 1),
        agreement=None if first else share_interval(same, covers=covers),
        kl=None
        if first
        else mean_interval(
            divergence(reference, probabilities, multi_label=evidence.multi_label), covers=covers
        ),
        error=None if first else output_error(rung, len(labels)),
        auc_difference=None
        if first
        else auc_difference(labels, reference, probabilities, covers=covers),
        acc_difference=None
        if first
        else acc_difference(labels, reference, probabilities, covers=covers),
    )


def covered(rung: Rung) -> tuple[Source, ...]:
    """What intervals over a rung's images cover: with shots, each image's noise is in it."""
    return IMAGES_AND_SHOTS if rung.shots else IMAGES


def divergence(exact: np.ndarray, other: np.ndarray, *, multi_label: bool = False) -> np.ndarray:
    """KL(exact ‖ other) of every image, nats.

    Args:
        exact: Probabilities, shape (n, classes) or (n, labels).
        other: Probabilities of the same shape.
        multi_label: Whether each column is the probability of a label of its own; the divergences
            of the labels are then added up.

    Returns:
        Shape (n,).
    """
    if multi_label:
        # a yes and a no for each label
        exact, other = (np.concatenate([p, 1 - p], axis=1) for p in (exact, other))
    smallest = np.finfo(float).tiny  # log of 0 times 0 is meant to be 0
    ratio = np.log(np.maximum(exact, smallest)) - np.log(np.maximum(other, smallest))
    return np.asarray(np.sum(exact * ratio, axis=1).clip(0.0))


def _smallest_step(labels: np.ndarray) -> float | None:
    """By how much one swapped pair of images moves the AUC at least; None if it has none."""
    if labels.ndim == 2:
        positives = [int(k) for k in labels.sum(axis=0) if 0 < k < len(labels)]
        most = max((k * (len(labels) - k) for k in positives), default=0)
        return 1 / (most * len(positives)) if most else None
    counts = np.bincount(labels)
    present = counts[counts > 0]
    if len(present) < 2:
        return None
    pairs = max(int(count) * (len(labels) - int(count)) for count in present)
    return 1 / (pairs * (1 if len(counts) == 2 else len(present)))


def _over_shots(
    rung: Rung,
    labels: np.ndarray,
    metric: Callable[[np.ndarray, np.ndarray], float],
    step: float | None,
    groups: int,
) -> Interval | None:
    if rung.draws is None or len(rung.draws) < 2:
        return None
    value, *drawn = (
        metric(labels, metrics.probabilities(logits, multi_label=labels.ndim == 2))
        for logits in (rung.logits, *rung.draws)
    )
    return shots_interval(value, drawn, step=step, groups=groups)


def output_error(rung: Rung, images: int, layer: int | None = None) -> Interval | None:
    """Root mean square error of a quantum layer's outputs; None if nobody knows the exact ones.

    Args:
        rung: The rung whose outputs are judged.
        images: How many images its rows are of.
        layer: The layer, counted from 0; None for all layers together.
    """
    if rung.deltas is None:
        return None
    chosen = rung.deltas if layer is None else [rung.deltas[layer]]
    # each (n, tokens · K)
    by_image = [delta.reshape(images, -1) for deltas in chosen for delta in deltas]
    return rms_interval(np.concatenate(by_image, axis=1), covers=covered(rung))

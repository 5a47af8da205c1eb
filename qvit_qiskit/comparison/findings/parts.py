"""What a layer's error is made of: shots, reported errors, and what nobody reported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.comparison.findings.scores import RungScores, covered, output_error
from qvit_qiskit.hardware.values.floors import raised
from qvit_qiskit.statistics.intervals import Interval, mean_interval


@dataclass(frozen=True)
class Parts:
    """Parts of the mean square of output minus exact output; they add up to it."""

    shots: Interval
    """The variance that the shots explain."""
    reported: Interval | None
    """What the device's reported errors explain besides."""
    rest: Interval
    """What is left: drift, crosstalk, and whatever the reported errors miss."""


@dataclass(frozen=True)
class LayerError:
    """How far the outputs of one quantum layer are from the exact ones, and why."""

    rung: str
    layer: int
    """Counted from 1."""
    error: Interval | None
    """Root mean square of output minus exact output."""
    parts: Parts | None
    """What the error is made of; None for a rung without shots."""


def layer_errors(evidence: Evidence, scores: tuple[RungScores, ...]) -> tuple[LayerError, ...]:
    """Every quantum layer of every rung whose outputs are compared with exact ones.

    Args:
        evidence: What is compared.
        scores: Of its rungs; where there is one layer, its error is the rung's.
    """
    images, whole = len(evidence.labels), {one.rung.name: one.error for one in scores}
    errors = []
    for rung in evidence.errors_known:
        for layer in range(len(rung.layers)):
            alone = len(rung.layers) == 1
            error = whole[rung.name] if alone else output_error(rung, images, layer)
            parts = error_parts(rung, layer, images) if rung.shots and rung.executions else None
            errors.append(LayerError(rung.name, layer + 1, error, parts))
    return tuple(errors)


def error_parts(rung: Rung, layer: int, images: int) -> Parts:
    """The mean square error of a quantum layer's outputs, taken apart.

    With δ the error against the exact outputs and β that against the outputs which the reported
    errors predict, the mean square of δ is the shots' variance, plus what β saves on δ, plus what β
    holds beyond the shots. The parts are estimates and may be negative.

    Args:
        rung: One with shots, ``deltas`` and ``executions``.
        layer: Counted from 0.
        images: How many.
    """
    covers = covered(rung)
    total, shots = squares_of(rung, layer, images)
    beyond, reported = total, None
    if rung.beyond:
        beyond = _by_image(rung.beyond[layer], images)
        reported = mean_interval(total - beyond, scale="identity", covers=covers)
    return Parts(
        mean_interval(shots, scale="identity", covers=covers),
        reported,
        mean_interval(beyond - shots, scale="identity", covers=covers),
    )


def squares_of(rung: Rung, layer: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean square errors of a quantum layer's outputs, and what the shots explain of them.

    Args:
        rung: One with shots, ``deltas`` and ``executions``.
        layer: Counted from 0.
        images: How many.

    Returns:
        Two arrays of shape (images,).
    """
    assert rung.deltas is not None
    whole = _by_image(rung.deltas[layer], images)
    return whole, _by_image(_deviations(rung, layer), images)


def _deviations(rung: Rung, layer: int) -> list[np.ndarray]:
    """Standard deviations of every projection's outputs, (R, K)."""
    assert rung.executions is not None
    assert rung.shots is not None
    rows, deviations = rung.executions[layer].rows, []
    for (g, _), out in zip(rows.pubs, rung.layers[layer], strict=True):
        covariances = raised(out.covariances, rows.groups[g], rung.shots)
        deviations.append(np.sqrt(np.einsum("rkk->rk", covariances)))  # (U, K), from the diagonals
    return deviations


def _by_image(layer: list[np.ndarray], images: int) -> np.ndarray:
    """Mean squares, shape (images,)."""
    squares = [part.reshape(images, -1) ** 2 for part in layer]  # each (n, tokens · K)
    return np.asarray(np.concatenate(squares, axis=1).mean(axis=1))

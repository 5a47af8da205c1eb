"""What a layer's error is made of: shots, reported errors, and what nobody reported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit.comparison.data import Rung
from qvit_qiskit.comparison.propagation import raised
from qvit_qiskit.comparison.scores import covered
from qvit_qiskit.statistics.intervals import Interval, mean_interval


@dataclass(frozen=True)
class Budget:
    """Mean squares over all outputs of a quantum layer, by image."""

    layer: int
    total: Interval
    """Of output minus exact output."""
    shots: Interval
    """The variance that the shots explain."""
    reported: Interval | None
    """What the device's reported errors explain besides."""
    rest: Interval
    """What is left: drift, crosstalk, and whatever the reported errors miss."""


def budget(rung: Rung, images: int) -> list[Budget]:
    """The mean square error of every quantum layer of a rung, taken apart.

    With δ the error against the exact outputs and β that against the outputs which the reported
    errors predict, the mean square of δ is the shots' variance, plus what β saves on δ, plus what β
    holds beyond the shots. The parts are estimates and may be negative; they add up to the total.

    Args:
        rung: One with shots, ``deltas`` and ``executions``.
        images: How many.
    """
    assert rung.deltas is not None
    found, covers = [], covered(rung)
    for layer, deltas in enumerate(rung.deltas):
        total = _by_image(deltas, images)
        shots = _by_image(_deviations(rung, layer), images)
        beyond = _by_image(rung.beyond[layer], images) if rung.beyond else total
        parts = [total, shots, total - beyond, beyond - shots]
        whole, drawn, reported, rest = (
            mean_interval(part, scale="identity", covers=covers) for part in parts
        )
        found.append(Budget(layer, whole, drawn, reported if rung.beyond else None, rest))
    return found


def _deviations(rung: Rung, layer: int) -> list[np.ndarray]:
    """Standard deviations of every projection's outputs, (R, K)."""
    assert rung.executions is not None
    assert rung.shots is not None
    rows, found = rung.executions[layer].rows, []
    for (g, _), out in zip(rows.pubs, rung.layers[layer], strict=True):
        covariances = raised(out.covariances, rows.groups[g], rung.shots)
        found.append(np.sqrt(np.einsum("rkk->rk", covariances)))
    return found


def _by_image(layer: list[np.ndarray], images: int) -> np.ndarray:
    """Mean squares, shape (images,)."""
    squares = [part.reshape(images, -1) ** 2 for part in layer]
    return np.asarray(np.concatenate(squares, axis=1).mean(axis=1))

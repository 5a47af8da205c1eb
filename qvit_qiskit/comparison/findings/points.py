"""Outputs of the quantum layers, measured and exact at the same angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit.comparison.evidence import Rung

VALUES = np.linspace(-1, 1, 201)
"""Exact values at which the reach of the shots is given."""


@dataclass(frozen=True)
class Points:
    """Every output of every row of one quantum layer."""

    exact: np.ndarray
    """What the exact layer gives at the same angles, shape (outputs,)."""
    measured: np.ndarray
    """What was measured, shape (outputs,)."""
    error: np.ndarray
    """Measured minus exact, shape (outputs,)."""
    reach: np.ndarray | None
    """Within ± this 95 % would lie if there were no error but the shots, at `VALUES`: 1.96
    √((1 − x²) / shots) for an observable of eigenvalues ±1, shape (values,). None without shots."""


def points_of(rung: Rung) -> tuple[Points, ...]:
    """One for each quantum layer.

    Args:
        rung: One with ``deltas``.
    """
    assert rung.deltas is not None
    reach = 1.96 * np.sqrt((1 - VALUES**2) / rung.shots) if rung.shots else None
    clouds = []
    for layer, deltas in zip(rung.layers, rung.deltas, strict=True):
        measured = np.concatenate([out.values.ravel() for out in layer])
        # deltas are measured minus exact
        exact = measured - np.concatenate([delta.ravel() for delta in deltas])
        clouds.append(Points(exact, measured, measured - exact, reach))
    return tuple(clouds)

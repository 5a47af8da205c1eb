"""Steps applied to batches of Pauli vectors, forwards to states or backwards to observables.

A batch has shape (H, S, K, 4**m): H arrays of rows with S = G/H weight sets each, K vectors
(rows or observables), Pauli coefficients last. H and S are 1 while nothing depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qvit_qiskit.circuits.lowering import Rotation
from qvit_qiskit.simulation.noise.channels import Step

_TURNED = {"x": (2, 3), "y": (3, 1), "z": (1, 2)}
"""A rotation about an axis turns the first Pauli towards the second."""

Angles = Mapping[int, Tensor]
"""By a rotation's index its angle, shape (H, S or 1, R or 1)."""


def evolve(
    steps: Sequence[Step], batch: Tensor, wires: int, angles: Angles, *, backwards: bool
) -> Tensor:
    """Send states forwards through steps, or observables backwards.

    Args:
        steps: In the order of the circuit.
        batch: Shape (H, S, K, 4**wires).
        wires: m.
        angles: Of the steps' rotations; where they differ by row, K is the number of rows.
        backwards: Observables instead of states.

    Returns:
        Of the same shape, but with H and S grown where an angle depends on them.
    """
    order = list(range(wires - 1, -1, -1))  # the wire of each axis, most significant first
    for step in reversed(steps) if backwards else steps:
        batch, order = _bring_last(batch, order, step.qubits)
        if isinstance(step, Rotation):
            angle = angles[step.index]
            batch = turn(batch, step.axis, -angle if backwards else angle)
        else:
            matrix = torch.from_numpy(step.matrix if backwards else step.matrix.T)
            shape = batch.shape
            batch = (batch.reshape(*shape[:3], -1, len(matrix)) @ matrix).view(shape)
    batch, _ = _bring_last(batch, order, range(wires))
    return batch


def _bring_last(batch: Tensor, order: list[int], qubits: Sequence[int]) -> tuple[Tensor, list[int]]:
    """Reorder the axes so that some wires are the lowest digits, ``qubits[0]`` the very lowest."""
    last = list(reversed(qubits))
    if order[len(order) - len(last) :] == last:
        return batch, order
    wanted = [q for q in order if q not in last] + last
    shape = batch.shape
    axes = [3 + order.index(q) for q in wanted]
    split = batch.reshape(*shape[:3], *(4,) * len(order))
    return split.permute(0, 1, 2, *axes).reshape(shape), wanted


def turn(batch: Tensor, axis: str, angle: Tensor) -> Tensor:
    """Rotate the wire of the lowest digit.

    Args:
        batch: Shape (H, S, K, 4**m).
        axis: ``"x"``, ``"y"`` or ``"z"``.
        angle: In radians, shape (H, S or 1, 1), or (H, S or 1, K) where every vector has its own.
    """
    first, second = _TURNED[axis]
    cos, sin = angle.cos()[..., None], angle.sin()[..., None]  # (H, S, K or 1, 1)
    parts = list(batch.unflatten(-1, (-1, 4)).unbind(-1))  # four of (H, S, K, 4**(m-1))
    a, b = parts[first], parts[second]
    shape = torch.broadcast_shapes(a.shape, cos.shape)
    parts = [part.expand(shape) for part in parts]
    parts[first], parts[second] = cos * a - sin * b, sin * a + cos * b
    return torch.stack(parts, dim=-1).flatten(-2)

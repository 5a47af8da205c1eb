"""Shared one-qubit layers as small dense matrices, and the reverse sweep that differentiates them.

For ``out = M in`` with the cotangent λ of ``out`` (dL = Re Σ conj(λ) d out), everything that the
angles inside M need from the rows is one matrix, ``E = Σ_rows out λ†``: the derivative by the angle
of the last rotation exp(−iφP/2) is ½ Im tr(P E), and a step back behind a gate g turns E into
g† E g. So the weight gradient costs nothing per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from qvit_qiskit.circuits.lowering import PAULI, OneQubit, Rotation, rotation_matrix
from qvit_qiskit.simulation.exact.schedule import LocalLayer, MonomialLayer

OneQubitOps = Sequence[Rotation | OneQubit]


def gate_matrix(operation: Rotation | OneQubit, angles: np.ndarray) -> np.ndarray:
    """The matrix of one operation for G weight sets.

    Args:
        operation: The operation.
        angles: Shared angles, shape (G, m).

    Returns:
        Shape (G or 1, 2, 2).
    """
    if isinstance(operation, Rotation):
        return rotation_matrix(operation.axis, angles[:, operation.index])
    return operation.matrix[None]


def block_matrix(layer: LocalLayer, qubits: Sequence[int], angles: np.ndarray) -> np.ndarray:
    """The Kronecker product of a layer's one-qubit matrices on some qubits.

    Args:
        layer: The layer; qubits that it does not touch get the identity.
        qubits: k qubits, the first is the lowest bit.
        angles: Shared angles, shape (G, m).

    Returns:
        Shape (G, 2**k, 2**k).
    """
    out = np.ones((len(angles), 1, 1), dtype=complex)
    for qubit in qubits:
        matrix = np.eye(2, dtype=complex)[None]
        for operation in layer.operations.get(qubit, ()):
            matrix = gate_matrix(operation, angles) @ matrix
        dim = 2 * out.shape[-1]
        out = (matrix[:, :, None, :, None] * out[:, None, :, None, :]).reshape(-1, dim, dim)
    return out


def sweep_block(
    layer: LocalLayer,
    qubits: Sequence[int],
    angles: np.ndarray,
    overlap: np.ndarray,
    grads: np.ndarray,
) -> None:
    """Add the derivatives by a layer's angles to ``grads``.

    Args:
        layer: The layer.
        qubits: The k qubits of ``overlap``, the first is the lowest bit.
        angles: Shared angles, shape (G, m).
        overlap: E behind the layer, shape (G, 2**k, 2**k).
        grads: ∂L/∂angles so far, shape (G, m), changed in place.
    """
    k = len(qubits)
    for place, qubit in enumerate(qubits):
        operations = layer.operations.get(qubit, [])
        if not any(isinstance(op, Rotation) for op in operations):
            continue
        low, high = 2**place, 2 ** (k - 1 - place)
        view = overlap.reshape(-1, high, 2, low, high, 2, low)
        reduced = np.einsum("ghalhbl->gab", view)  # (G, 2, 2)
        for operation in reversed(operations):
            if isinstance(operation, Rotation):
                pauli = PAULI[operation.axis]
                trace = np.einsum("ab,gba->g", pauli, reduced)
                grads[:, operation.index] += 0.5 * trace.imag
            matrix = gate_matrix(operation, angles)
            reduced = matrix.conj().transpose(0, 2, 1) @ reduced @ matrix  # one gate further back


def sweep(
    layers: Sequence[LocalLayer | MonomialLayer],
    num_qubits: int,
    angles: np.ndarray,
    overlap: np.ndarray,
    grads: np.ndarray,
) -> None:
    """`sweep_block` through a whole shared segment, last layer first.

    Args:
        layers: The layers of the segment in circuit order.
        num_qubits: n.
        angles: Shared angles, shape (G, m).
        overlap: E behind the last layer, shape (G, 2**n, 2**n).
        grads: ∂L/∂angles so far, shape (G, m), changed in place.
    """
    qubits = range(num_qubits)
    overlap = overlap.astype(complex)
    for place in range(len(layers) - 1, -1, -1):
        layer = layers[place]
        if isinstance(layer, LocalLayer):
            sweep_block(layer, qubits, angles, overlap, grads)
            if place:
                # In torch: numpy's BLAS has a thread pool that gets in the way of torch's.
                matrix = torch.from_numpy(block_matrix(layer, qubits, angles))
                overlap = (matrix.mH @ torch.from_numpy(overlap) @ matrix).numpy()
        elif place:
            inverse = np.argsort(layer.source)  # of a permutation
            overlap = layer.phase.conj()[:, None] * overlap * layer.phase
            overlap = overlap[:, inverse[:, None], inverse]

"""The circuits in PennyLane, shared by its three sides.

Angles are indexed from the right (``x[..., q]``), so that the same code runs a single row, a
broadcast batch of rows, and weights that differ from row to row.
"""

from __future__ import annotations

from typing import Any

import pennylane as qml
from cases import Case


def ring(qubits: int) -> None:
    """CNOT(q, q+1 mod n) in order."""
    for q in range(qubits):
        qml.CNOT([q, (q + 1) % qubits])


def encode(case: Case, x: Any) -> None:
    """The data rotations of a row or of a batch of rows, shape (..., n)."""
    rotation = qml.RX if case.family == "rx-rz-ring" else qml.RY
    for q in range(case.qubits):
        rotation(x[..., q], wires=q)


def block(case: Case, w: Any, layer: int) -> None:
    """The trained rotations and the ring of one layer."""
    n = case.qubits
    if case.family == "rx-rz-ring":
        for q in range(n):
            qml.RX(w[..., 2 * layer * n + q], wires=q)
        for q in range(n):
            qml.RZ(w[..., 2 * layer * n + n + q], wires=q)
    else:
        for q in range(n):
            qml.RY(w[..., layer * n + q], wires=q)
    ring(n)


def trained(case: Case, w: Any) -> None:
    """All layers after a single encoding."""
    for layer in range(case.layers):
        block(case, w, layer)


def circuit(case: Case, x: Any, w: Any) -> None:
    """The whole circuit of a case."""
    if case.family != "reupload-ring":
        encode(case, x)
        trained(case, w)
        return
    for layer in range(case.layers):
        encode(case, x)
        block(case, w, layer)


def circuit_by_matrix(case: Case, x: Any, w: Any) -> None:
    """The same with the trained part as one matrix, made by `qml.matrix`; no re-uploading."""
    encode(case, x)
    wires = range(case.qubits)
    matrix = qml.matrix(lambda v: trained(case, v), wire_order=list(wires))(w)
    qml.QubitUnitary(matrix, wires=wires)


def matrix_fits(case: Case) -> bool:
    """Whether the trained part is one matrix, and a small one."""
    return case.family != "reupload-ring" and case.qubits <= 8

"""The circuits in TensorCircuit-NG, for one row; backend-independent."""

from __future__ import annotations

from typing import Any

import tensorcircuit as tc
from cases import Case


def encode(case: Case, circuit: tc.Circuit, x: Any) -> None:
    """The data rotations of one row, shape (n,)."""
    rotation = circuit.rx if case.family == "rx-rz-ring" else circuit.ry
    for q in range(case.qubits):
        rotation(q, theta=x[q])


def block(case: Case, circuit: tc.Circuit, w: Any, layer: int) -> None:
    """The trained rotations and the ring of one layer."""
    n = case.qubits
    if case.family == "rx-rz-ring":
        for q in range(n):
            circuit.rx(q, theta=w[2 * layer * n + q])
        for q in range(n):
            circuit.rz(q, theta=w[2 * layer * n + n + q])
    else:
        for q in range(n):
            circuit.ry(q, theta=w[layer * n + q])
    for q in range(n):
        circuit.cnot(q, (q + 1) % n)


def circuit_of(case: Case, x: Any, w: Any) -> tc.Circuit:
    """The whole circuit of one row."""
    circuit = tc.Circuit(case.qubits)
    for layer in range(case.layers):
        if layer == 0 or case.family == "reupload-ring":
            encode(case, circuit, x)
        block(case, circuit, w, layer)
    return circuit


def expectations(case: Case, x: Any, w: Any) -> Any:
    """⟨Z_q⟩ by the library's own expectation values, shape (n,)."""
    circuit = circuit_of(case, x, w)
    values = [circuit.expectation_ps(z=[q]) for q in range(case.qubits)]
    return tc.backend.real(tc.backend.stack(values))


def probabilities(case: Case, x: Any, w: Any) -> Any:
    """Probabilities of the basis states, shape (2ⁿ,)."""
    return _squared(circuit_of(case, x, w).state())


def probabilities_by_matrix(case: Case, x: Any, w: Any) -> Any:
    """Probabilities of all rows, (rows, 2ⁿ), with the trained part as one `Circuit.matrix()`."""

    def encoded(row: Any) -> Any:
        circuit = tc.Circuit(case.qubits)
        encode(case, circuit, row)
        return circuit.state()

    trained = tc.Circuit(case.qubits)
    for layer in range(case.layers):
        block(case, trained, w, layer)
    states = tc.backend.vmap(encoded, vectorized_argnums=0)(x)
    return _squared(states @ tc.backend.transpose(trained.matrix()))


def matrix_fits(case: Case) -> bool:
    """Whether the trained part is one matrix, and a small one."""
    return case.family != "reupload-ring" and case.qubits <= 8


def _squared(state: Any) -> Any:
    return tc.backend.real(state) ** 2 + tc.backend.imag(state) ** 2

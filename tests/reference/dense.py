"""Expectation values from dense matrices; qubit ``i`` is bit ``i`` of a state's index."""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Operator, SparsePauliOp

PAULIS = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]).astype(complex),
}


def observable_matrix(observable: SparsePauliOp | Mapping[str, complex]) -> np.ndarray:
    """Shape (2**n, 2**n); the last letter of a Pauli string is qubit 0, the lowest bit."""
    terms = observable.items() if isinstance(observable, Mapping) else observable.to_list()
    return sum(
        coefficient * reduce(np.kron, [PAULIS[letter] for letter in string])
        for string, coefficient in terms
    )


def z_signs(qubits: int) -> np.ndarray:
    """⟨Z_i⟩ of every basis state, shape (2**n, n)."""
    return np.array([[1 - 2 * ((s >> i) & 1) for i in range(qubits)] for s in range(2**qubits)])


def states(circuit: QuantumCircuit, rows: np.ndarray) -> np.ndarray:
    """Final states (R, 2**n) for values (R, P) in the order of ``circuit.parameters``."""
    bound = [circuit.assign_parameters(list(row)) for row in np.atleast_2d(rows)]
    return np.stack([Operator(one).data[:, 0] for one in bound])


def values(
    circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], rows: np.ndarray
) -> np.ndarray:
    """Expectation values, shape (R, K)."""
    final = states(circuit, rows)
    matrices = [observable_matrix(o) for o in observables]
    return np.stack([np.einsum("ra,ab,rb->r", final.conj(), m, final).real for m in matrices], -1)


def joint_covariances(circuit: QuantumCircuit, rows: np.ndarray) -> np.ndarray:
    """Covariances of the Z outcomes of one shot, shape (R, n, n)."""
    signs = z_signs(circuit.num_qubits)
    probabilities = np.abs(states(circuit, rows)) ** 2
    means = probabilities @ signs
    seconds = np.einsum("rs,si,sj->rij", probabilities, signs, signs)
    return seconds - means[:, :, None] * means[:, None, :]

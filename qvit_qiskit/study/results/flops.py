"""FLOPs of simulating a circuit as it is written, gate by gate on a state vector.

A gate on k of n qubits gives each of the 2**n amplitudes a new value: a row of its matrix times
2**k old ones. An entry of the row that is not 0, 1 or -1 is a multiplication, and every further
entry that is not 0 an addition. A multiplication is 1 FLOP in real arithmetic and 6 in complex, an
addition 1 and 2; arithmetic is real if all of the circuit's matrices are. So RY costs 3 FLOPs an
amplitude in a real circuit, a dense complex gate on one qubit 14, RZ 6, CNOT and CZ nothing.

Reading out squares all amplitudes once (1 FLOP each, 3 if complex); every product of Z's then costs
an addition per amplitude, any other Pauli string a multiplication and an addition. Shots, gradients
and what a clever simulator saves (the exact engine of this package saves most of it) do not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from qiskit.circuit import CircuitError, QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit

_PROBE = 0.7
"""An angle at which no entry of a rotation vanishes by chance."""


def simulation_flops(circuit: QNNCircuit) -> int:
    """FLOPs of one row: one token through one circuit, all outputs read.

    Args:
        circuit: Of gates with matrices.
    """
    matrices = gate_matrices(circuit.circuit)
    real = all(not np.iscomplex(matrix).any() for matrix in matrices)
    dim = 2**circuit.num_qubits
    gates = sum(matrix_flops(matrix, real) for matrix in matrices)
    strings = [label for terms in circuit.pauli_terms for label in terms]
    diagonal = sum(set(label) <= {"I", "Z"} for label in strings)
    multiply, add = (1, 1) if real else (6, 2)
    read = (1 if real else 3) + diagonal + (len(strings) - diagonal) * (multiply + add)
    return round(dim * (gates + read))


def gate_matrices(circuit: QuantumCircuit) -> list[np.ndarray]:
    """The matrix of every gate, its parameters at angles without special values.

    A gate without a matrix, e.g. one made of a library circuit, counts as what it is made of.
    """
    count = circuit.num_parameters
    bound = circuit.assign_parameters([_PROBE + k / (math.pi * (count + 1)) for k in range(count)])
    return list(_matrices(bound))


def _matrices(bound: QuantumCircuit) -> Iterator[np.ndarray]:
    for entry in bound.data:
        if entry.operation.name in ("barrier", "id"):
            continue
        try:
            yield np.asarray(entry.operation.to_matrix())
        except CircuitError:
            if entry.operation.definition is None:
                raise
            yield from _matrices(entry.operation.definition)


def matrix_flops(matrix: np.ndarray, real: bool) -> float:
    """Floating-point operations that a gate's matrix costs for each amplitude of the state.

    Args:
        matrix: The gate, shape (2^q, 2^q).
        real: Whether matrix and state are real: a product then costs one operation instead of six.
    """
    multiply, add = (1, 1) if real else (6, 2)
    plain = np.isclose(matrix, 1) | np.isclose(matrix, -1)
    filled = ~np.isclose(matrix, 0)
    products = (filled & ~plain).sum(axis=1)  # a factor of ±1 costs nothing
    sums = np.maximum(filled.sum(axis=1) - 1, 0)
    return float((multiply * products + add * sums).mean())

"""Bitstrings of wide circuits whose qubits are hardly entangled along a line, by Aer."""

from __future__ import annotations

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits.measurement_bases import Basis

MAX_CROSSINGS = 4
"""Two-qubit gates over any cut of the line: each at most doubles what a matrix product holds."""
MAX_DRAWS = 2**17
"""Rows times shots of a call: half a minute or so on one processor."""


def can_draw(circuit: QuantumCircuit, rows: int, shots: int) -> bool:
    """Whether Aer's matrix product states give a circuit's bitstrings in a fair time.

    Args:
        circuit: Gates alone.
        rows: R.
        shots: Per row.
    """
    return is_chain(circuit) and rows * shots <= MAX_DRAWS


def is_chain(circuit: QuantumCircuit) -> bool:
    """Whether few two-qubit gates cross any cut of the line of its qubits, measured or not."""
    crossings = np.zeros(circuit.num_qubits + 1, dtype=int)
    for item in circuit.data:
        wires = [circuit.find_bit(q).index for q in item.qubits]
        if len(wires) > 1 and item.operation.name != "barrier":
            crossings[min(wires) : max(wires)] += 1
    return bool(crossings.max() <= MAX_CROSSINGS)


def sampled(
    circuit: QuantumCircuit,
    basis: Basis,
    values: np.ndarray,
    outputs: int,
    shots: int,
    seed: np.random.SeedSequence,
) -> tuple[np.ndarray, np.ndarray]:
    """Means over bitstrings, and their covariances.

    Args:
        circuit: Gates alone, parameters unbound.
        basis: The measurement basis.
        values: Of its parameters, shape (R, P).
        outputs: K.
        shots: Per row.
        seed: Of the simulator.

    Returns:
        Shapes (K, R) and (K, R, K).
    """
    from qiskit_aer import AerSimulator

    measured = circuit.compose(basis.rotation())
    measured.global_phase = 0
    measured.measure_all()
    binds = {p: values[:, k].tolist() for k, p in enumerate(measured.parameters)}
    simulator = AerSimulator(
        method="matrix_product_state",
        seed_simulator=int(seed.generate_state(1)[0] >> 1),
        max_parallel_threads=1,
    )
    result = simulator.run(
        measured, shots=shots, memory=True, parameter_binds=[binds] if binds else None
    ).result()
    means, covariances = np.zeros((outputs, len(values))), np.zeros((outputs, len(values), outputs))
    for row in range(len(values)):
        memory = result.get_memory(row if binds else 0)
        bits = np.array([list(shot.encode()) for shot in memory], dtype=np.uint8)[:, ::-1] - 48
        own = np.zeros((shots, outputs))
        for output, coefficient, mask in basis.terms:
            read = [q for q in range(circuit.num_qubits) if mask >> q & 1]
            own[:, output] += coefficient * (1.0 - 2.0 * (bits[:, read].sum(axis=1) & 1))
        means[:, row] = own.mean(axis=0)
        covariances[:, row] = np.cov(own.T, bias=True).reshape(outputs, outputs) / shots
    return means, covariances

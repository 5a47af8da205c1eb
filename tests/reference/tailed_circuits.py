"""Random circuits that end in gates that only move bits, some of them hidden in gates of gates."""

import numpy as np
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit import library as gates

from qvit_qiskit.circuits import QNNCircuit
from tests.reference.random_circuits import random_observable

MOVES = {
    1: [gates.XGate(), gates.YGate(), gates.ZGate(), gates.TGate(), gates.RZGate(0.7)],
    2: [
        *(gates.CXGate(), gates.CXGate(), gates.CXGate(ctrl_state=0), gates.SwapGate()),
        *(gates.CZGate(), gates.iSwapGate(), gates.DCXGate(), gates.RZZGate(0.4)),
        *(gates.CPhaseGate(0.3), gates.CYGate(), gates.CRZGate(1.1)),
    ],
    3: [gates.CCZGate()],
}


def tailed_circuit(
    rng: np.random.Generator, qubits: int, *, local: int = 2, moves: int = 8, letters: str = "IZ"
) -> QNNCircuit:
    """Layers of rotations and CNOTs, then gates that move bits; observables of some letters."""
    x, w = ParameterVector("x", qubits), ParameterVector("w", local * qubits)
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.ry(x[q], q)
    for layer in range(local):
        for q in range(qubits):
            getattr(circuit, rng.choice(["rx", "ry"]))(w[layer * qubits + q], q)
        if layer < local - 1:
            _move(rng, circuit, 3)
    inner = QuantumCircuit(qubits)
    _move(rng, inner, moves // 2)
    wrapped = bool(rng.integers(2))
    circuit.append(inner.to_gate(label="moved"), range(qubits)) if wrapped else circuit.compose(
        inner, inplace=True
    )
    if rng.integers(2):
        circuit.barrier()
    _move(rng, circuit, moves - moves // 2)
    strings = [
        [c if c in letters else "Z" for c in string]
        for observable in (random_observable(rng, qubits) for _ in range(qubits))
        for string in observable.paulis.to_labels()[:1]
    ]
    observables = tuple("".join(s) if set(s) != {"I"} else "Z" * qubits for s in strings)
    return QNNCircuit(circuit, tuple(x), tuple(w), observables)


def _move(rng: np.random.Generator, circuit: QuantumCircuit, count: int) -> None:
    for _ in range(count):
        width = int(rng.choice([1, 2, 2, 2, 3]))
        width = min(width, circuit.num_qubits)
        gate = MOVES[width][rng.integers(len(MOVES[width]))]
        circuit.append(gate, rng.permutation(circuit.num_qubits)[:width].tolist())

"""Random circuits of standard gates, with angles of every kind."""

import numpy as np
from qiskit.circuit import Gate, ParameterVector, QuantumCircuit
from qiskit.circuit import library as gates
from qiskit.quantum_info import SparsePauliOp, random_unitary

from qvit_qiskit.circuits import QNNCircuit

CONSTANT: dict[int, list[Gate]] = {
    1: [
        *(gates.HGate(), gates.SGate(), gates.SdgGate(), gates.TGate(), gates.TdgGate()),
        *(gates.SXGate(), gates.SXdgGate(), gates.XGate(), gates.YGate(), gates.ZGate()),
        *(gates.IGate(), gates.RXGate(0.3), gates.RYGate(-1.1), gates.RZGate(2.2)),
        *(gates.PhaseGate(0.4), gates.UGate(0.1, 0.2, 0.3), gates.RGate(0.5, 0.6)),
    ],
    2: [
        *(gates.CXGate(), gates.CYGate(), gates.CZGate(), gates.CHGate(), gates.CSGate()),
        *(gates.CSXGate(), gates.SwapGate(), gates.iSwapGate(), gates.ECRGate(), gates.DCXGate()),
        *(gates.CXGate(ctrl_state=0), gates.RZZGate(0.7), gates.CRYGate(0.9), gates.RXXGate(0.2)),
    ],
    3: [gates.CCXGate(), gates.CCZGate(), gates.CSwapGate(), gates.CCXGate(ctrl_state=1)],
}
PARAMETRIC: list[tuple[type[Gate], int, int]] = [  # (gate, angles, qubits)
    *((g, 1, 1) for g in (gates.RXGate, gates.RYGate, gates.RZGate, gates.PhaseGate)),
    *((gates.U1Gate, 1, 1), (gates.U2Gate, 2, 1), (gates.UGate, 3, 1), (gates.U3Gate, 3, 1)),
    *((g, 1, 2) for g in (gates.CRXGate, gates.CRYGate, gates.CRZGate, gates.CPhaseGate)),
    *((g, 1, 2) for g in (gates.RXXGate, gates.RYYGate, gates.RZZGate, gates.RZXGate)),
    *((gates.RGate, 2, 1), (gates.CUGate, 4, 2)),
    *((gates.XXPlusYYGate, 2, 2), (gates.XXMinusYYGate, 2, 2)),
]


def random_angle(rng: np.random.Generator, x: ParameterVector, w: ParameterVector):
    """An input, a weight, or an affine or curved expression of both."""
    a, b = x[rng.integers(len(x))], x[rng.integers(len(x))]
    v, u = w[rng.integers(len(w))], w[rng.integers(len(w))]
    forms = [a, a, v, v, 2 * a + 0.3, a * v, a * b, v - u, v.sin(), a + v, (a - u).cos() * 0.5]
    return forms[rng.integers(len(forms))]


def random_circuit(rng: np.random.Generator, qubits: int, depth: int) -> QNNCircuit:
    """``depth`` random gates on inputs ``x`` and weights ``w``; every one of them is used."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 3)
    circuit = QuantumCircuit(qubits)
    circuit.global_phase = random_angle(rng, x, w)
    for _ in range(depth):
        kind = rng.integers(6)
        if kind < 3:
            _append_parametric(rng, circuit, x, w)
        elif kind < 5:
            width = int(rng.integers(1, min(qubits, 3) + 1))
            constant = CONSTANT[width][rng.integers(len(CONSTANT[width]))]
            circuit.append(constant, _wires(rng, circuit, width))
        else:
            _append_oddity(rng, circuit, x, w)
    for parameter in [*x, *w]:  # observed or not, every parameter has a place
        circuit.ry(parameter, int(rng.integers(qubits)))
    circuit.h(int(rng.integers(qubits)))
    observables = tuple(random_observable(rng, qubits) for _ in range(3))
    return QNNCircuit(circuit, tuple(x), tuple(w), observables)


def random_observable(rng: np.random.Generator, qubits: int) -> SparsePauliOp:
    """A sum of one to three Pauli strings in bases that need not commute."""
    count = int(rng.integers(1, 4))
    strings = ["".join(rng.choice(list("IXYZ"), qubits)) for _ in range(count)]
    return SparsePauliOp(strings, rng.uniform(-1, 1, count))


def _append_parametric(
    rng: np.random.Generator, circuit: QuantumCircuit, x: ParameterVector, w: ParameterVector
) -> None:
    fitting = [entry for entry in PARAMETRIC if entry[2] <= circuit.num_qubits]
    make, angles, width = fitting[rng.integers(len(fitting))]
    gate = make(*(random_angle(rng, x, w) for _ in range(angles)))
    circuit.append(gate, _wires(rng, circuit, width))


def _append_oddity(
    rng: np.random.Generator, circuit: QuantumCircuit, x: ParameterVector, w: ParameterVector
) -> None:
    """Barriers, open controls, many controls, dense unitaries, and gates made of circuits."""
    width = min(2, circuit.num_qubits)
    kind = rng.integers(5)
    angle = random_angle(rng, x, w)
    if kind == 0:
        circuit.barrier()
    elif kind == 1 and circuit.num_qubits > 1:
        circuit.append(gates.CRXGate(angle, ctrl_state=0), _wires(rng, circuit, 2))
    elif kind == 2 and circuit.num_qubits > 2:
        circuit.append(gates.MCPhaseGate(angle, 2), _wires(rng, circuit, 3))
    elif kind == 3:
        circuit.unitary(random_unitary(2**width, seed=rng), _wires(rng, circuit, width))
    else:
        inner = QuantumCircuit(width, global_phase=0.3)
        inner.rx(angle, 0)
        inner.h(width - 1)
        circuit.append(inner.to_gate(label="inner").inverse(), _wires(rng, circuit, width))


def _wires(rng: np.random.Generator, circuit: QuantumCircuit, count: int) -> list[int]:
    return rng.permutation(circuit.num_qubits)[:count].tolist()

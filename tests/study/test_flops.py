"""FLOPs of simulating a circuit: against closed formulas, and against counting loops."""

from itertools import product

import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.study.results.flops import gate_matrices, matrix_flops, simulation_flops


@pytest.mark.parametrize(("qubits", "layers"), [(2, 2), (4, 2), (4, 3), (8, 2)])
def test_the_paper_s_circuit(qubits, layers):
    """RY on every wire once and in every layer: 3 FLOPs an amplitude; CNOTs are free."""
    rotations = qubits * (1 + layers)
    expected = 2**qubits * (3 * rotations + 1 + qubits)
    assert simulation_flops(build_circuit("ry-ring", qubits, layers)) == expected


def test_complex_rotations():
    """RX: 14 FLOPs an amplitude, RZ 6; squaring complex amplitudes 3."""
    qubits, layers = 3, 2
    per = 14 * (qubits + layers * qubits) + 6 * layers * qubits
    expected = 2**qubits * (per + 3 + qubits)
    assert simulation_flops(build_circuit("rx-rz-ring", qubits, layers)) == expected


def count(matrix, qubits, real):
    """The same by going through all amplitudes and terms of the sums."""
    size, dim, found = len(matrix), 2**qubits, 0
    multiply, add = (1, 1) if real else (6, 2)
    for rest, row in product(range(dim // size), range(size)):
        assert rest >= 0
        terms = [entry for entry in matrix[row] if abs(entry) > 1e-8]
        found += sum(multiply for entry in terms if min(abs(entry - 1), abs(entry + 1)) > 1e-5)
        found += add * (len(terms) - 1)
    return found


@pytest.mark.parametrize("gate", ["cx", "cz", "swap", "h", "t", "s", "x"])
def test_fixed_gates(gate):
    circuit = QuantumCircuit(2)
    getattr(circuit, gate)(*([0, 1] if gate in ("cx", "cz", "swap") else [0]))
    (matrix,) = gate_matrices(circuit)
    for real in (True, False):
        assert 4 * matrix_flops(matrix, real) == pytest.approx(count(matrix, 2, real))
    assert matrix_flops(matrix, True) == {"h": 3, "t": 0.5, "s": 0.5}.get(gate, 0)


def test_gates_made_of_circuits_cost_what_they_are_made_of():
    x = ParameterVector("x", 2)
    inner = QuantumCircuit(2)
    inner.ry(x[0], 0)
    inner.crx(x[1], 0, 1)
    outer = QuantumCircuit(3)
    outer.append(inner.to_gate(), [2, 0])
    plain = [m.tolist() for m in gate_matrices(inner)]
    assert [m.tolist() for m in gate_matrices(outer)] == plain


def test_observables_that_are_not_diagonal():
    x, w = ParameterVector("x", 2), ParameterVector("w", 0)
    circuit = QuantumCircuit(2)
    circuit.ry(x[0], 0)
    circuit.ry(x[1], 1)
    observables = (SparsePauliOp("ZZ"), SparsePauliOp(["XI", "IZ"], [0.5, 0.5]))
    found = simulation_flops(QNNCircuit(circuit, tuple(x), tuple(w), observables))
    assert found == 4 * (2 * 3 + 1 + 2 * 1 + 1 * 2)

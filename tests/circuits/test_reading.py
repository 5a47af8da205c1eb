"""Outputs as parities of earlier bits: the same values as after every gate."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.circuit import library as gates
from qiskit.quantum_info import DensityMatrix, Kraus, Operator

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.circuits.lowering import lower
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.circuits.parity_readout import reading
from qvit_qiskit.circuits.permutation_tail import Affine, affine
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from tests.reference import dense
from tests.reference.tailed_circuits import MOVES, tailed_circuit


def by_parities(circuit: QNNCircuit, rows: np.ndarray) -> np.ndarray:
    """Values (R, K) from the probabilities of the bits before the tail."""
    out = np.zeros((len(rows), circuit.num_outputs))
    for basis in measurement_bases(circuit.pauli_terms):
        read = reading(circuit.canonical, basis, "parity")
        order = [list(circuit.canonical.parameters).index(p) for p in read.circuit.parameters]
        probabilities = np.abs(dense.states(read.circuit, rows[:, order])) ** 2
        out += probabilities @ read.basis.diagonal(circuit.num_outputs)
    return out


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.check)])
def test_parities_equal_gates(rng, count):
    """Every third circuit is also read in X and Y."""
    for k in range(count):
        letters = "IZ" if k % 3 else "IXYZ"
        circuit = tailed_circuit(rng, int(rng.integers(2, 6)), letters=letters)
        rows = rng.uniform(-np.pi, np.pi, (2, circuit.num_inputs + circuit.num_weights))
        expected = dense.values(circuit.canonical, circuit.observables, rows)
        np.testing.assert_allclose(by_parities(circuit, rows), expected, atol=1e-12)
        pub = (circuit.canonical, [[o] for o in circuit.observables], rows)
        found = ExactEstimator().run([pub]).result()[0].data.evs
        np.testing.assert_allclose(found.T, expected, atol=1e-12)


def test_nothing_of_a_tail_is_run():
    """All that follows the last rotations is done on the bits, in gates of gates, too."""
    for part in range(30):
        circuit = tailed_circuit(np.random.default_rng(part), 4)
        basis = measurement_bases(circuit.pauli_terms)[0]
        body = reading(circuit.canonical, basis, "parity").circuit
        last = {q: name for name, qubits in gates_of(body) for q in qubits}
        assert set(last.values()) <= {"rx", "ry"}


DAMPING = Kraus([np.diag([1, np.sqrt(0.6)]), np.array([[0, np.sqrt(0.4)], [0, 0]])])
"""What a delay does here: the bit 1 becomes 0 in four of ten cases."""


def damped(circuit: QuantumCircuit) -> np.ndarray:
    """Probabilities of a bound circuit whose gates are perfect and whose delays damp."""
    state = DensityMatrix.from_label("0" * circuit.num_qubits)

    def walk(part: QuantumCircuit, wires: list[int]) -> None:
        nonlocal state
        for item in part.data:
            own = [wires[part.find_bit(q).index] for q in item.qubits]
            gate = item.operation
            if gate.name == "delay":
                state = state.evolve(DAMPING, own)
            elif gate.name == "pause":
                walk(gate.definition, own)
            elif gate.name != "barrier":
                state = state.evolve(Operator(gate), own)

    walk(circuit, list(range(circuit.num_qubits)))
    return np.real(np.diag(state.data))


def with_delays(rng: np.random.Generator, circuit: QuantumCircuit) -> QuantumCircuit:
    """Delays between its gates, some of them inside an instruction that moves bits, too."""
    out = circuit.copy_empty_like()
    for item in circuit.data:
        out.append(item)
        if rng.random() < 0.1:
            out.delay(10, int(rng.integers(circuit.num_qubits)))
        if rng.random() < 0.03:
            pause = QuantumCircuit(2, name="pause")
            pause.cx(0, 1)
            pause.delay(10, 1)
            pause.cx(1, 0)
            out.append(pause.to_instruction(), rng.permutation(circuit.num_qubits)[:2].tolist())
    return out


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.check)])
def test_delays_are_no_part_of_a_tail(rng, count):
    """Bits decay in them: with nothing else to err, parities and gates still give the same."""
    shorter = 0
    for _ in range(count):
        circuit = tailed_circuit(rng, int(rng.integers(2, 5)))
        plain = circuit.canonical
        bound = plain.assign_parameters(rng.uniform(-np.pi, np.pi, plain.num_parameters))
        delayed = with_delays(rng, bound)
        (basis,) = measurement_bases(circuit.pauli_terms)
        whole, read = reading(delayed, basis), reading(delayed, basis, "parity")
        expected = damped(whole.circuit) @ whole.basis.diagonal(circuit.num_outputs)
        found = damped(read.circuit) @ read.basis.diagonal(circuit.num_outputs)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        shorter += len(lower(read.circuit).operations) < len(lower(delayed).operations)
    assert shorter > count / 2


def gates_of(circuit: QuantumCircuit) -> list[tuple[str, list[int]]]:
    return [
        (item.operation.name, [circuit.find_bit(q).index for q in item.qubits])
        for item in circuit.data
    ]


def test_what_a_ring_reads():
    """The last ring of four CNOTs: how many of the outputs use each bit."""
    circuit = build_circuit("ry-ring", 4, 2)
    (basis,) = measurement_bases(circuit.pauli_terms)
    read = reading(circuit.canonical, basis, "parity")
    assert read.circuit.count_ops()["cx"] == 4
    assert [mask for _, _, mask in read.basis.terms] == [0b1110, 0b0011, 0b0111, 0b1111]
    assert read.reads == (0.75, 1.0, 0.75, 0.5)
    whole = reading(circuit.canonical, basis)
    assert (whole.basis, whole.reads, whole.circuit.count_ops()["cx"]) == (basis, None, 8)


def test_what_stays():
    """A chain ends in rotations, and a Toffoli gate is no parity: nothing changes."""
    chain = build_circuit("ry-chain", 3, 1)
    toffoli = QuantumCircuit(3)
    toffoli.h([0, 1])
    toffoli.ccx(0, 1, 2)
    for circuit in (chain.canonical, toffoli):
        (basis,) = measurement_bases([{"IIZ": 1.0}, {"ZII": 1.0}])
        read = reading(circuit, basis, "parity")
        assert (read.circuit.data, read.basis) == (circuit.data, basis)


@pytest.mark.parametrize("width", MOVES)
def test_maps_of_gates(width):
    """Of every basis state, against the gate's matrix."""
    for gate in MOVES[width]:
        circuit = QuantumCircuit(width)
        circuit.append(gate, range(width))
        bits = Affine.identity(width)
        for operation in reversed(lower(circuit).operations):
            own = affine(operation)
            assert own is not None
            bits = bits.after(own, operation.qubits)
        matrix = np.abs(gates.UnitaryGate(dense.Operator(circuit)).to_matrix())
        np.testing.assert_array_equal(np.argmax(matrix, axis=1), bits.order())

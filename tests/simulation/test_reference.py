"""Aer's own estimator gives every gate the angles that its rows say."""

import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import PhaseGate, RXGate, UGate, get_standard_gate_name_mapping
from qiskit.primitives import StatevectorEstimator

from qvit_qiskit import registry

GATES = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if gate.params and name not in ("delay", "global_phase")
}


def check(gate, rng, wrap):
    """Three rows of one parametrised gate, alone or within a gate made of a circuit."""
    weights = ParameterVector("w", len(gate.params))
    inner = QuantumCircuit(gate.num_qubits)
    inner.append(gate.base_class(*weights) if wrap is None else wrap(weights), inner.qubits)
    circuit = QuantumCircuit(3)
    for q in range(3):
        circuit.ry(0.3 + q, q)
        circuit.rx(0.7 - q, q)
    circuit.append(inner.to_gate() if wrap else inner.data[0].operation, range(gate.num_qubits))
    for q in range(3):
        circuit.ry(0.4, q)
    rows = rng.normal(size=(3, len(weights)))
    pub = (circuit, [["IIX"], ["ZIZ"], ["XXY"]], rows)
    expected = StatevectorEstimator().run([pub]).result()[0].data.evs
    found = registry.open("aer-reference").estimator.run([pub]).result()[0].data.evs
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_every_parametrised_gate(name, rng):
    check(GATES[name], rng, None)


@pytest.mark.parametrize("name", ["crx", "cp", "cu3", "rzz"])
def test_gates_within_gates(name, rng):
    check(GATES[name], rng, lambda weights: GATES[name].base_class(*weights))


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda w: RXGate(w[0]).control(2), 1),
        (lambda w: PhaseGate(w[0]).control(2), 1),
        (lambda w: UGate(*w).control(1), 3),
    ],
)
def test_gates_with_more_controls(make, count, rng):
    weights = ParameterVector("w", count)
    gate = make(weights)
    circuit = QuantumCircuit(3)
    for q in range(3):
        circuit.ry(0.5 + q, q)
    circuit.append(gate, range(gate.num_qubits))
    circuit.rx(0.3, 0)
    pub = (circuit, [["IIX"], ["ZIZ"], ["XXY"]], rng.normal(size=(3, count)))
    expected = StatevectorEstimator().run([pub]).result()[0].data.evs
    found = registry.open("aer-reference").estimator.run([pub]).result()[0].data.evs
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)

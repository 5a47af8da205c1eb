"""Circuits as other people write them, under the errors of a device."""

import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate, zz_feature_map
from qiskit.quantum_info import SparsePauliOp
from reference import ours
from reference.kinds import entangled, stock, values

from qvit_qiskit.exceptions import CircuitError


def _measured(*qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(2, len(qubits))
    circuit.compose(entangled(), inplace=True)
    circuit.measure(qubits, range(len(qubits)))
    return circuit


def _prepared(method: str) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    getattr(circuit, method)([0.6, 0.8j], 1)
    circuit.cx(1, 0)
    return circuit


def _wide() -> QuantumCircuit:
    circuit = QuantumCircuit(27)
    circuit.compose(entangled(), inplace=True)
    return circuit


def _feature_map() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.append(zz_feature_map(2, reps=1).to_gate(), [1, 0])
    return circuit


def _evolution() -> QuantumCircuit:
    circuit = entangled()
    generator = SparsePauliOp(["XX", "ZZ"], [0.5, 0.3])
    circuit.append(PauliEvolutionGate(generator, time=Parameter("a")), [0, 1])
    circuit.rx(Parameter("b"), 0)
    return circuit


PAIRS = {
    "measured": lambda: (_measured(0, 1), "ZZ", entangled(), "ZZ"),
    "measured in part": lambda: (_measured(1), "ZZ", entangled(), "ZZ"),
    "initialized": lambda: (_prepared("initialize"), "ZZ", _prepared("prepare_state"), "ZZ"),
    "idle qubits": lambda: (_wide(), "I" * 25 + "ZZ", entangled(), "ZZ"),
    "projector": lambda: (
        *(entangled(), "0Z"),
        *(entangled(), SparsePauliOp(["IZ", "ZZ"], [0.5, 0.5])),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_errors_do_not_depend_on_the_wording(name):
    """Two ways to say the same have the same value, which errors have moved."""
    circuit, observable, other, same = PAIRS[name]()
    noisy = ours.noisy_estimator()
    found, expected = values(noisy, circuit, observable), values(noisy, other, same)
    assert found == pytest.approx(expected, abs=1e-10)
    assert 1e-6 < abs(expected - stock(other, same)) < 0.15


@pytest.mark.parametrize("make", [_feature_map, _evolution])
def test_composite_gates(make):
    pub = (make(), "ZZ", [0.4, 0.9])
    assert values(ours.noisy_estimator(), *pub) == pytest.approx(stock(*pub), abs=0.15)


def test_what_a_device_cannot_run():
    """It is refused in this package's words, and not in those of a transpiler pass."""
    circuit = entangled()
    circuit.initialize([0.6, 0.8], 0)
    with pytest.raises(CircuitError, match=r"initialize|reset"):
        ours.noisy_estimator().run([(circuit, "ZZ")]).result()

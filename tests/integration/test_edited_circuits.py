"""Circuits that callers change in place between two runs: nothing old is remembered."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import RYGate
from qiskit.quantum_info import SparsePauliOp
from reference import ours
from reference.kinds import assert_values, stock, values

a, b = Parameter("a"), Parameter("b")


def _circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.ry(0.3, 0)
    circuit.rx(a, 0)
    circuit.ry(b, 1)
    return circuit


def _nothing(circuit: QuantumCircuit) -> None:
    """Leave the circuit as it is."""


def _append(circuit: QuantumCircuit) -> None:
    circuit.x(0)


def _replace(circuit: QuantumCircuit) -> None:
    circuit.data[0] = circuit.data[0].replace(operation=RYGate(1.5))


def _move(circuit: QuantumCircuit) -> None:
    circuit.data[0] = circuit.data[0].replace(qubits=(circuit.qubits[1],))


def _exchange(circuit: QuantumCircuit) -> None:
    circuit.data[0], circuit.data[1] = circuit.data[1], circuit.data[0]


def _bind(circuit: QuantumCircuit) -> None:
    circuit.assign_parameters({a: 0.9}, inplace=True)


def _rename(circuit: QuantumCircuit) -> None:
    """``circuit.parameters`` is sorted by name, so this changes the order of the values."""
    circuit.assign_parameters({a: Parameter("z")}, inplace=True)


def _double(circuit: QuantumCircuit) -> None:
    circuit.assign_parameters({a: 2 * a}, inplace=True)


EDITS = [_append, _replace, _move, _exchange, _bind, _rename, _double]


@pytest.mark.parametrize("edit", EDITS)
def test_circuits_edited_between_runs(estimator, kind, edit):
    """The same circuit object, with as many gates as before."""
    circuit = _circuit()
    for change in (_nothing, edit):
        change(circuit)
        points = np.linspace(0.2, 1.1, circuit.num_parameters)
        expected = stock(circuit, ["ZZ", "IY", "XI"], points)
        assert_values(kind, values(estimator, circuit, ["ZZ", "IY", "XI"], points), expected)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("make", [ours.adjoint_gradient, ours.shift_gradient])
def test_gradients_of_circuits_edited_between_runs(edit, make):
    circuit = _circuit()
    gradient, observable, step = make(), SparsePauliOp(["ZZ", "IY"], [1, 0.7]), 1e-5
    for change in (_nothing, edit):
        change(circuit)
        point = np.linspace(0.2, 1.1, circuit.num_parameters)
        moved = point + step * np.concatenate([np.eye(len(point)), -np.eye(len(point))])
        above, below = np.split(stock(circuit, observable, moved), 2)
        found = gradient.run([circuit], [observable], [point]).result().gradients[0]
        np.testing.assert_allclose(found, (above - below) / (2 * step), atol=1e-8)


def test_a_circuit_edited_between_runs_under_device_noise():
    circuit = QuantumCircuit(1)
    circuit.ry(0.3, 0)
    for change in (_nothing, _replace):
        change(circuit)
        expected = stock(circuit, "Z")
        assert values(ours.noisy_estimator(), circuit, "Z") == pytest.approx(expected, abs=0.05)

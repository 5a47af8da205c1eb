"""Any circuit of the library: values and gradients are Qiskit's own, also after an edit in place.

Thirty circuits in `make test`, all five hundred in `make check`.
"""

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from reference import ours
from reference.library_circuits import by_definition, edit, library_circuit
from reference.random_circuits import random_observable

from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import BroadcastEstimatorQNN

SEEDS = [k if k < 30 else pytest.param(k, marks=pytest.mark.check) for k in range(500)]
STEP = 1e-3


def slopes(function, count: int) -> np.ndarray:
    """Central differences, fourth order, of a function of shifts (m, count), by each column."""
    steps = np.eye(count) * STEP
    one, minus, two, below = np.split(
        function(np.concatenate([steps, -steps, 2 * steps, -2 * steps])), 4
    )
    return (8 * (one - minus) - (two - below)) / (12 * STEP)


def twin(circuit: QuantumCircuit, observable: SparsePauliOp, rows: np.ndarray) -> np.ndarray:
    """Qiskit's statevector, row by row."""
    plain = by_definition(circuit)
    assert list(plain.parameters) == list(circuit.parameters)
    return StatevectorEstimator().run([(plain, observable, rows)]).result()[0].data.evs


@pytest.fixture(scope="module")
def estimator():
    return ours.exact_estimator()


@pytest.mark.parametrize("seed", SEEDS)
def test_values_and_gradients(rng, estimator, seed):
    qubits = 1 + seed % 9
    qnn = library_circuit(rng, qubits, depth=int(rng.integers(2, 12)))
    circuit = qnn.circuit.copy()
    for place in range(3):
        if place:
            edit(rng, circuit)
        observable = random_observable(rng, qubits)
        rows = rng.uniform(-2, 2, (2, circuit.num_parameters))
        values = estimator.run([(circuit, observable, rows)]).result()[0].data.evs
        np.testing.assert_allclose(values, twin(circuit, observable, rows), atol=1e-10)
        slope(circuit, observable, rows[:1], estimator)


def slope(circuit, observable, row, estimator) -> None:
    """Gradients by inputs and weights against central differences of the twin."""
    gradient = ours.adjoint_gradient(estimator)
    if not circuit.num_parameters:
        return
    found = gradient.run([circuit], [observable], row).result().gradients[0]
    expected = slopes(lambda shifts: twin(circuit, observable, row + shifts), row.size)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_the_torch_layer(rng, seed):
    """The same circuits as a network: values and the pulled-back cotangent of all outputs."""
    qnn = library_circuit(rng, 1 + seed % 5, depth=8)
    network = BroadcastEstimatorQNN(qnn, registry.default_route())
    rows, weights = rng.uniform(-2, 2, (3, 3)), rng.uniform(-2, 2, 3)
    values, pull = network.vjp(rows, weights)
    whole = np.hstack([rows, np.broadcast_to(weights, (3, 3))])
    expected = [twin(qnn.canonical, o, whole) for o in qnn.observables]
    np.testing.assert_allclose(values, np.transpose(expected), atol=1e-10)
    cotangent = rng.normal(size=values.shape)
    by_input, by_weight = pull(cotangent)

    pairs = list(zip(qnn.observables, cotangent.T, strict=True))

    def losses(shifts: np.ndarray) -> np.ndarray:
        """The loss at all rows shifted alike, shape (m,)."""
        points = (whole[None] + shifts[:, None]).reshape(-1, 6)
        return sum(twin(qnn.canonical, o, points).reshape(-1, 3) @ c for o, c in pairs)

    expected = slopes(losses, 6)
    np.testing.assert_allclose(np.hstack([by_input.sum(axis=0), by_weight]), expected, atol=1e-6)

"""The kinds of estimators that the integration tests compare with Qiskit's own."""

from collections.abc import Callable
from functools import partial

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator

from reference import ours

SHOTS = 40_000
KINDS: dict[str, tuple[Callable[[], BaseEstimatorV2], float]] = {
    "exact": (ours.exact_estimator, 1e-10),
    "shots": (partial(ours.shot_estimator, SHOTS, seed=7), 5 * 2 / SHOTS**0.5),
    "device noise": (ours.noisy_estimator, 0.15),
}
"""Each estimator with its distance from the exact values, for observables of weight up to 2.

A value of 40,000 shots is further away than 5 standard errors at one seed in 1,700,000.
"""


def values(estimator: BaseEstimatorV2, *pub: object) -> np.ndarray:
    """The expectation values of one PUB."""
    return estimator.run([pub]).result()[0].data.evs


def stock(*pub: object) -> np.ndarray:
    """The expectation values of one PUB according to ``StatevectorEstimator``."""
    return values(StatevectorEstimator(), *pub)


def assert_values(kind: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Values are as near to the exact ones as this kind of estimator comes."""
    np.testing.assert_allclose(found, expected, atol=KINDS[kind][1], rtol=0)


def entangled(qubits: int = 2) -> QuantumCircuit:
    """A state in which no Pauli string of two letters has the value 0 or ±1."""
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.ry(0.6 + 0.5 * qubit, qubit)
        circuit.rz(0.4 - 0.9 * qubit, qubit)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
        circuit.rx(0.8, qubit)
    return circuit

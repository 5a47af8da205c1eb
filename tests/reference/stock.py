"""Qiskit's and Qiskit Machine Learning's own classes, put together without ours."""

from collections.abc import Sequence

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.gradients import BaseEstimatorGradient, ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qvit_qiskit.circuits import QNNCircuit


def statevector_values(
    circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], rows: np.ndarray
) -> np.ndarray:
    """One PUB per row, shape (R, K)."""
    pubs = [(circuit, list(observables), row) for row in np.atleast_2d(rows)]
    return np.stack([one.data.evs for one in StatevectorEstimator().run(pubs).result()])


def stock_network(
    circuit: QNNCircuit,
    estimator: BaseEstimatorV2 | None = None,
    gradient: BaseEstimatorGradient | None = None,
) -> EstimatorQNN:
    """An `EstimatorQNN` with input gradients; by default exact, with parameter shifts."""
    estimator = estimator or StatevectorEstimator()
    return EstimatorQNN(
        circuit=circuit.circuit,
        estimator=estimator,
        observables=list(circuit.observables),
        input_params=list(circuit.inputs),
        weight_params=list(circuit.weights),
        gradient=gradient or ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=0.0,
    )

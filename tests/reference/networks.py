"""Small problems of Qiskit Machine Learning, for any estimator and gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import real_amplitudes, zz_feature_map
from qiskit.primitives import BaseEstimatorV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.neural_networks import EstimatorQNN

FEATURE_MAP = zz_feature_map(2, reps=1)
ANSATZ = real_amplitudes(2, reps=1)
PARITY = SparsePauliOp("ZZ")
OBSERVABLES = (SparsePauliOp("IZ"), SparsePauliOp(["XX", "ZI"], [0.5, -0.25]), PARITY)


def circuit() -> QuantumCircuit:
    """Two inputs, four weights; angles of the feature map are products of inputs."""
    return FEATURE_MAP.compose(ANSATZ)


def network(
    estimator: BaseEstimatorV2,
    observables: Sequence[SparsePauliOp] = OBSERVABLES,
    made_of: QuantumCircuit | None = None,
    **options: Any,
) -> EstimatorQNN:
    """Qiskit Machine Learning's network of `circuit`, or of a circuit that it was compiled to."""
    roles = {"input_params": FEATURE_MAP.parameters, "weight_params": ANSATZ.parameters}
    return EstimatorQNN(
        circuit=made_of or circuit(),
        estimator=estimator,
        observables=observables,
        **(roles | options),
    )


def points(rng: np.random.Generator, rows: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, shape (rows, 2), and weights, shape (4,)."""
    return rng.uniform(-1, 1, (rows, 2)), rng.uniform(-1, 1, 4)

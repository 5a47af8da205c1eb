"""An estimator that draws from the exact engine, and PUBs to draw for."""

from __future__ import annotations

import numpy as np
from qiskit.primitives import BaseEstimatorV2

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.simulation.bitstrings import BitstringEstimator
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.shifts import circuit_pub


def noiseless(shots: int, seed: int = 0) -> BitstringEstimator:
    exact = ExactEstimator()
    return BitstringEstimator(exact.engine, exact.compiler, shots, seed)


def noisy_shots(device: str, shots: int, seed: int = 3) -> BitstringEstimator:
    exact = noisy(bundled_device(device), seed)
    return BitstringEstimator(exact.engine, exact.compiler, shots, seed)


def data(estimator: BaseEstimatorV2, *pub: object, **options: float):
    return estimator.run([pub], **options).result()[0].data


def same_rows(circuit: QNNCircuit, rows: int) -> tuple[object, ...]:
    """A PUB of one point, many times: every row is a draw of its own."""
    point = np.linspace(-1.1, 1.7, circuit.num_inputs)
    return circuit_pub(circuit, np.tile(point, (rows, 1)), np.linspace(0.3, 1, circuit.num_weights))

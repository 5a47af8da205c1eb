"""An estimator that draws from the exact engine, and PUBs to draw for."""

from __future__ import annotations

import numpy as np

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.execution.bitstrings import BitstringEstimator
from qvit_qiskit.execution.exact.engine import Engine
from qvit_qiskit.execution.exact.estimator import Compiler
from qvit_qiskit.execution.gradients import circuit_pub
from qvit_qiskit.execution.sources import ExactSource


def noiseless(shots: int | None, seed: int = 0) -> BitstringEstimator:
    return BitstringEstimator(ExactSource(Engine(), Compiler()), shots, seed)


def data(estimator: BitstringEstimator, *pub: object, **options: float):
    return estimator.run([pub], **options).result()[0].data


def same_rows(circuit: QNNCircuit, rows: int) -> tuple[object, ...]:
    """A PUB of one point, many times: every row is a draw of its own."""
    point = np.linspace(-1.1, 1.7, circuit.num_inputs)
    return circuit_pub(circuit, np.tile(point, (rows, 1)), np.linspace(0.3, 1, circuit.num_weights))

"""Stock qiskit-machine-learning: `EstimatorQNN`, `TorchConnector`, parameter shift.

One projection on few rows, scaled up: the gradient builds one PUB for every row, observable and
shift, so time grows in proportion to rows and projections.
"""

from __future__ import annotations

from typing import Any

from cases import Case, make_inputs
from qiskit.primitives import StatevectorEstimator
from qiskit_aer.primitives import EstimatorV2 as AerEstimator
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN
from step import Builders, Step

from qvit_qiskit.circuits import build_circuit

PACKAGES = ("qiskit", "qiskit-aer", "qiskit-machine-learning", "torch", "numpy")


def variants(case: Case, dtype: str) -> Builders:
    return {
        "Aer EstimatorV2": lambda: build(case, dtype, AerEstimator()),
        "StatevectorEstimator": lambda: build(case, dtype, StatevectorEstimator()),
    }


def build(case: Case, dtype: str, estimator: Any) -> Step:
    """Exact expectation values: precision 0, where the stock default would add noise."""
    circuit = build_circuit(case.family, qubits=case.qubits, layers=case.layers)
    network = EstimatorQNN(
        circuit=circuit.circuit,
        estimator=estimator,
        observables=list(circuit.observables),
        input_params=list(circuit.inputs),
        weight_params=list(circuit.weights),
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=0.0,
    )
    layer = TorchConnector(network, initial_weights=make_inputs(case).weights[0])
    parameters = [layer.weight]
    return Step(case, dtype, lambda x, _: layer(x[0])[None], parameters)

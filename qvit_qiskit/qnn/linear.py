"""One projection: a circuit in the place of a linear map."""

from __future__ import annotations

import math
from typing import Any

import torch
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.registry import default_route
from qvit_qiskit.execution.route import Route
from qvit_qiskit.qnn.connector import QNNConnector
from qvit_qiskit.qnn.network import BroadcastEstimatorQNN


class QuantumLinear(QNNConnector):
    """A QNN as a torch layer: (..., num_inputs) to (..., num_outputs).

    A `QNNConnector` that makes its own network and knows its route. Its weights are drawn from
    −π to π. In state dicts they have the name ``connector.weight``, as in checkpoints.
    """

    def __init__(self, circuit: QNNCircuit, route: Route | None = None) -> None:
        if not isinstance(circuit, QNNCircuit):
            raise _not_a_qnn_circuit(circuit)
        network = BroadcastEstimatorQNN(circuit, route or default_route())
        weights = torch.empty(circuit.num_weights).uniform_(-math.pi, math.pi)
        super().__init__(network, weights.numpy())

    @property
    def connector(self) -> QNNConnector:
        """The layer itself, which held its connector apart before."""
        return self

    @property
    def network(self) -> BroadcastEstimatorQNN:
        """The `EstimatorQNN` behind the layer."""
        network: BroadcastEstimatorQNN = self.neural_network
        return network

    @property
    def circuit(self) -> QNNCircuit:
        """The circuit and its roles."""
        return self.network.qnn_circuit

    @property
    def route(self) -> Route:
        """Where the circuit runs."""
        return self.network.route

    def bind(self, route: Route) -> None:
        """Run on another route from now on; the weights stay."""
        self.network.bind(route)

    def extra_repr(self) -> str:
        """Shown by ``print(model)``."""
        c = self.circuit
        return (
            f"{c.family}, inputs={c.num_inputs}, weights={c.num_weights}, route={self.route.name}"
        )

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if "weight" in self._parameters:
            destination[f"{prefix}connector.weight"] = destination.pop(f"{prefix}weight")


def _not_a_qnn_circuit(given: Any) -> CircuitError:
    if isinstance(given, QuantumCircuit):
        what = (
            f"a {type(given).__name__} of {given.num_qubits} qubits, which does not say which of "
            f"its {given.num_parameters} parameters are data"
        )
    else:
        what = f"a {type(given).__name__}"
    return CircuitError(
        f"Expected a QNNCircuit, but got {what}. Write qvit_qiskit.QNNCircuit(circuit, "
        "inputs=[...], weights=[...], observables=[...]); or take a family, "
        'qvit_qiskit.build_circuit("ry-ring", 4).'
    )

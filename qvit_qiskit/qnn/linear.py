"""One projection: a circuit in the place of a linear map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.registry import default_route
from qvit_qiskit.execution.route import Route
from qvit_qiskit.qnn.connector import QNNConnector
from qvit_qiskit.qnn.network import BroadcastEstimatorQNN


class QuantumLinear(nn.Module):
    """A QNN as a torch layer: (..., num_inputs) to (..., num_outputs).

    It flattens to rows before the connector and restores the shape behind it: the stock
    connector's input gradient is wrong for (B, N, D) tensors.
    """

    def __init__(self, circuit: QNNCircuit, route: Route | None = None) -> None:
        super().__init__()
        network = BroadcastEstimatorQNN(circuit, route or default_route())
        weights = torch.empty(circuit.num_weights).uniform_(-math.pi, math.pi)
        self.connector = QNNConnector(network, weights.numpy())

    @property
    def network(self) -> BroadcastEstimatorQNN:
        """The `EstimatorQNN` behind the connector."""
        network: BroadcastEstimatorQNN = self.connector.neural_network
        return network

    @property
    def circuit(self) -> QNNCircuit:
        """The circuit and its roles."""
        return self.network.qnn_circuit

    @property
    def weight(self) -> nn.Parameter:
        """The circuit's weights, radians, shape (num_weights,)."""
        weight: nn.Parameter = self.connector.weight
        return weight

    @property
    def route(self) -> Route:
        """Where the circuit runs."""
        return self.network.route

    def bind(self, route: Route) -> None:
        """Run on another route from now on; the weights stay."""
        self.network.bind(route)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the circuit at every token.

        Args:
            x: Angles in radians, shape (..., num_inputs).

        Returns:
            Expectation values, shape (..., num_outputs), in x's dtype.

        Raises:
            CircuitError: If the last dimension is not ``num_inputs``, or an angle is NaN.
        """
        if x.ndim == 0 or x.shape[-1] != self.circuit.num_inputs:
            raise CircuitError(
                f"Expected a last dimension of {self.circuit.num_inputs} (one angle per input "
                f"parameter), but got a tensor of shape {tuple(x.shape)}."
            )
        out: Tensor = self.connector(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]))
        return out.reshape(*x.shape[:-1], self.circuit.num_outputs)

    def extra_repr(self) -> str:
        """Shown by ``print(model)``."""
        c = self.circuit
        return (
            f"{c.family}, inputs={c.num_inputs}, weights={c.num_weights}, route={self.route.name}"
        )

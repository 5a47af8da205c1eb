"""One projection: a circuit in the place of a linear map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qvit_qiskit.circuits import QNNCircuit, z_observables
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.registry import default_route
from qvit_qiskit.execution.route import Route
from qvit_qiskit.qnn.connector import QNNConnector
from qvit_qiskit.qnn.network import BroadcastEstimatorQNN
from qvit_qiskit.qnn.stock import broadcast_network


class QuantumLinear(QNNConnector):
    """A QNN as a torch layer: (..., num_inputs) to (..., num_outputs).

    A `QNNConnector` that makes its own network and knows its route. In state dicts its weights
    have the name ``connector.weight``, as in checkpoints.

    Example:
        >>> import torch
        >>> from qvit_qiskit import QuantumLinear, build_circuit
        >>> layer = QuantumLinear(build_circuit("ry-ring", 4))
        >>> layer(torch.zeros(5, 16, 4)).shape  # (B, N, inputs) to (B, N, outputs)
        torch.Size([5, 16, 4])
    """

    def __init__(
        self,
        circuit: QNNCircuit | QuantumCircuit | EstimatorQNN | TorchConnector,
        route: Route | None = None,
        *,
        inputs: Sequence[Parameter] | None = None,
        weights: Sequence[Parameter] | None = None,
        observables: Sequence[SparsePauliOp] | None = None,
    ) -> None:
        """A layer with weights drawn from −π to π, or with those of a stock connector.

        Args:
            circuit: The circuit with its roles; or an `EstimatorQNN` of Qiskit Machine Learning,
                or a `TorchConnector` over one, whose weights are copied; or a plain circuit.
            route: Where it runs; by default exactly, on Aer.
            inputs: Of a plain circuit: the parameters that are data, one per feature.
            weights: Of a plain circuit: the trained parameters, in order.
            observables: Of a plain circuit: one per output; by default Z on every wire. (A stock
                `EstimatorQNN` has one output by default, the parity of all wires.)

        Raises:
            CircuitError: If the circuit does not say which of its parameters are data, or its
                network computes something else than expectation values.
        """
        roles = (inputs, weights, observables)
        if isinstance(circuit, QuantumCircuit) and inputs is not None and weights is not None:
            observables = z_observables(circuit.num_qubits) if observables is None else observables
            circuit = QNNCircuit(circuit, tuple(inputs), tuple(weights), tuple(observables))
        elif any(role is not None for role in roles):
            raise CircuitError(
                "Expected inputs=, weights= (both, [] for none) and observables= with a "
                f"QuantumCircuit only, but got them with a {type(circuit).__name__}. Leave out "
                "what it knows itself."
            )
        network, given = _network(circuit, route)
        drawn = torch.empty(network.num_weights).uniform_(-math.pi, math.pi)
        super().__init__(network, (drawn if given is None else given.detach()).numpy())

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


def _network(
    circuit: Any, route: Route | None
) -> tuple[BroadcastEstimatorQNN, torch.Tensor | None]:
    """The network of what a layer was given, and weights where that has some."""
    if isinstance(circuit, QNNCircuit):
        return BroadcastEstimatorQNN(circuit, route or default_route()), None
    network = circuit.neural_network if isinstance(circuit, TorchConnector) else circuit
    if not isinstance(network, EstimatorQNN):
        raise _not_a_network(circuit)
    try:
        ours = broadcast_network(network, route)
    except CircuitError as error:
        raise CircuitError(
            f"Expected a network that a QuantumLinear can take over, but {str(error).rstrip('.')}."
        ) from error
    return ours, trained_weights(circuit) if isinstance(circuit, TorchConnector) else None


def trained_weights(connector: TorchConnector) -> torch.Tensor:
    """The weights that a connector computes with, shape (num_weights,).

    A stock one computes with ``_weights``, also where something else was assigned to ``weight``.
    """
    stock: torch.Tensor | None = vars(connector)["_parameters"].get("_weights")
    return connector.weight if stock is None else stock


def _not_a_network(given: Any) -> CircuitError:
    if isinstance(given, QuantumCircuit):
        what = (
            f"a {type(given).__name__} of {given.num_qubits} qubits, which does not say which of "
            f"its {given.num_parameters} parameters are data"
        )
    elif isinstance(given, TorchConnector):
        what = f"a TorchConnector over {type(given.neural_network).__name__}"
    else:
        what = f"a {type(given).__name__}"
    return CircuitError(
        f"Expected a QNNCircuit, a circuit with inputs= and weights=, or a stock EstimatorQNN or "
        f"connector over one, but got {what}. Write qvit_qiskit.QuantumLinear(circuit, "
        "inputs=[...], weights=[...]) or QNNCircuit(circuit, inputs=[...], weights=[...], "
        'observables=[...]); or take a family, qvit_qiskit.build_circuit("ry-ring", 4).'
    )

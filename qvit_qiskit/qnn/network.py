"""`EstimatorQNN` with one PUB for all rows and outputs, standard errors, and a pullback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.bundle import (
    Bundle,
    BundleGradient,
    Measurement,
    Pullback,
    SupportsVJP,
    Values,
)
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.route import Route
from qvit_qiskit.simulation.shifts import estimate

Pull = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class BroadcastEstimatorQNN(EstimatorQNN):
    """An `EstimatorQNN` whose forward pass measures every row once.

    The stock network sends one PUB per observable, lets a default precision override the shots
    of the estimator, and drops standard errors. This one sends ``(circuit, [[Z0], [Z1], …],
    rows)``, leaves shots to the route, and keeps the last `Measurement`.

    Example:
        >>> import numpy as np
        >>> from qvit_qiskit import build_circuit, registry
        >>> from qvit_qiskit.qnn import BroadcastEstimatorQNN
        >>> route = registry.open("aer-exact")
        >>> network = BroadcastEstimatorQNN(build_circuit("ry-ring", 4), route)
        >>> network.forward(np.zeros((3, 4)), np.zeros(8)).shape  # (rows, outputs)
        (3, 4)
    """

    def __init__(self, circuit: QNNCircuit, route: Route) -> None:
        self.qnn_circuit = circuit
        self.route = route
        self.last: Measurement | None = None
        """What the last forward pass measured, with standard errors and covariances."""
        count = circuit.num_inputs
        parameters = list(circuit.canonical.parameters)
        super().__init__(
            circuit=circuit.canonical,
            estimator=route.estimator,
            observables=list(circuit.observables),
            input_params=parameters[:count],
            weight_params=parameters[count:],
            gradient=route.gradient,
            input_gradients=True,
        )
        # What people ask for is their own; values are bound in the order of the canonical circuit.
        self._org_circuit = circuit.circuit
        self._input_params, self._weight_params = list(circuit.inputs), list(circuit.weights)
        self.bind(route)

    def __deepcopy__(self, memo: Any) -> BroadcastEstimatorQNN:
        copied = BroadcastEstimatorQNN(self.qnn_circuit, self.route)
        copied.input_gradients = self.input_gradients
        return copied

    def bind(self, route: Route) -> None:
        """Run on another route from now on. Weights live in the connector and stay."""
        self.route, self.estimator, self.gradient = route, route.estimator, route.gradient

    def vjp(self, inputs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, Pull]:
        """Values and their vector–Jacobian product.

        Args:
            inputs: Angles in radians, shape (R, num_inputs).
            weights: Shape (num_weights,).

        Returns:
            Values, shape (R, num_outputs), and a function from ∂L/∂values to
            (∂L/∂inputs, ∂L/∂weights summed over rows).

        Raises:
            CircuitError: If a width is wrong.
            RouteError: If the route does not train.
        """
        check_widths(self, inputs, weights)
        values, pullback = linearize([Bundle((self.qnn_circuit,), (weights,), inputs)], [[self]])

        def pull(cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            gradient = pullback([[cotangent]])[0]
            return gradient.inputs, gradient.weights[0]

        return values[0][0], pull

    def _reparameterize_circuit(
        self, circuit: QuantumCircuit, *args: Any, **kwargs: Any
    ) -> QuantumCircuit:
        return circuit  # already canonical, and shared so that it is compiled once

    def _forward(self, input_data: np.ndarray | None, weights: np.ndarray | None) -> np.ndarray:
        rows, weights = self._arrays(input_data, weights)
        bundle = Bundle((self.qnn_circuit,), (weights,), rows)
        measure([bundle], [[self]])
        assert self.last is not None
        return self.last.values

    def _backward(
        self, input_data: np.ndarray | None, weights: np.ndarray | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        if self.gradient is None:
            raise self.route.refusal()
        rows, weights = self._arrays(input_data, weights)
        gradients: tuple[np.ndarray | None, np.ndarray | None] = super()._backward(rows, weights)
        return gradients

    def _arrays(
        self, input_data: np.ndarray | None, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.zeros((1, 0)) if input_data is None else np.asarray(input_data, dtype=float)
        return rows, np.zeros(0) if weights is None else np.asarray(weights, dtype=float)


def check_widths(network: EstimatorQNN, inputs: Any, weights: Any) -> None:
    """Refuse rows and weights of another width than the network's.

    Args:
        network: Any network.
        inputs: An array or tensor, shape (..., num_inputs).
        weights: An array or tensor, shape (num_weights,).

    Raises:
        CircuitError: With both widths.
    """
    if inputs.ndim == 0 or inputs.shape[-1] != network.num_inputs:
        raise CircuitError(
            f"Expected a last dimension of {network.num_inputs} (one angle per input parameter), "
            f"but got a tensor of shape {tuple(inputs.shape)}."
        )
    if tuple(weights.shape) != (network.num_weights,):
        raise CircuitError(
            f"Expected {network.num_weights} weights in one dimension, but got a tensor of shape "
            f"{tuple(weights.shape)}."
        )


Networks = Sequence[Sequence[BroadcastEstimatorQNN]]
"""For each bundle the networks of its circuits; all of them are on one route."""


def measure(bundles: Sequence[Bundle], networks: Networks) -> list[list[np.ndarray]]:
    """Evaluate all networks in one estimator call; each keeps its `Measurement`.

    Args:
        bundles: Circuits with their weights, at rows (R, num_inputs) that they share.
        networks: For each bundle the networks of its circuits, all on one route.

    Returns:
        For each bundle and circuit its values, shape (R, num_outputs).
    """
    results = estimate(networks[0][0].estimator, bundles)
    for row, members in zip(results, networks, strict=True):
        for measurement, network in zip(row, members, strict=True):
            network.last = measurement
    return [[m.values for m in row] for row in results]


def linearize(bundles: Sequence[Bundle], networks: Networks) -> tuple[Values, Pullback]:
    """Values and pullback of all networks; see `SupportsVJP.vjp`.

    Args:
        bundles: Circuits with their weights, at rows (R, num_inputs) that they share.
        networks: For each bundle the networks of its circuits, all on one route.

    Returns:
        For each bundle and circuit its values, shape (R, num_outputs), and the function that pulls
        cotangents of them back to inputs and weights.

    Raises:
        RouteError: If the route does not train.
    """
    network = networks[0][0]
    if network.gradient is None:
        raise network.route.refusal()
    # one sweep for all circuits, instead of Jacobians
    if isinstance(network.gradient, SupportsVJP):
        return network.gradient.vjp(bundles)
    return measure(bundles, networks), partial(_pull_jacobians, bundles, networks)


def _pull_jacobians(
    bundles: Sequence[Bundle], networks: Networks, cotangents: Values
) -> list[BundleGradient]:
    """The pullback of a gradient that knows Jacobians only, e.g. a stock one."""
    grads = []
    for bundle, members, one in zip(bundles, networks, cotangents, strict=True):
        inputs = np.zeros(bundle.inputs.shape)
        by_weights = []
        for network, weights, cotangent in zip(members, bundle.weights, one, strict=True):
            by_input, by_weight = network.backward(bundle.inputs, weights)
            # all circuits saw the same inputs
            inputs += np.einsum("rk,rkn->rn", cotangent, by_input)
            # all rows saw the same weights
            by_weights.append(np.einsum("rk,rkw->w", cotangent, by_weight))
        grads.append(BundleGradient(inputs, by_weights))
    return grads

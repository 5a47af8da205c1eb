"""Networks of Qiskit Machine Learning read: the circuit, its roles, and what is ours for it."""

from __future__ import annotations

from typing import Any

from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.circuits.pubs import pauli_strings
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.registry import default_route
from qvit_qiskit.execution.route import Route
from qvit_qiskit.qnn.network import BroadcastEstimatorQNN


def broadcast_network(network: EstimatorQNN, route: Route | None = None) -> BroadcastEstimatorQNN:
    """Our network for a stock one, with its circuit, observables, roles and `input_gradients`.

    Args:
        network: An `EstimatorQNN`; one of ours is taken itself.
        route: Where the circuit runs; by default exactly, on Aer. The estimator, gradient and
            precision that the stock network was built with stay behind.

    Raises:
        CircuitError: If the network is of a class that computes something else, or no estimator
            of ours evaluates its circuit.
    """
    if isinstance(network, BroadcastEstimatorQNN):
        if route is not None:
            network.bind(route)
        return network
    ours = BroadcastEstimatorQNN(circuit_of(network), route or default_route())
    ours.input_gradients = network.input_gradients
    return ours


def circuit_of(network: EstimatorQNN) -> QNNCircuit:
    """The circuit that a stock network evaluates, with its roles, on the qubits in use.

    Final measurements and idle qubits that nobody reads are left out, so that a circuit that was
    transpiled to a large device becomes one of its active qubits.

    Args:
        network: An `EstimatorQNN`.

    Raises:
        CircuitError: If the network is of a class that computes something else, or no estimator
            of ours evaluates its circuit.
    """
    changed = own_names(type(network), EstimatorQNN)
    if changed:
        raise CircuitError(
            f"its class {type(network).__name__} has {', '.join(changed)} of its own, so that it "
            "may compute something else than its circuit's expectation values"
        )
    # What is evaluated is the private copy that the network made: whoever edited the circuit
    # since then has changed nothing. Its parameters are "inputs" and "weights", in order.
    evaluated = network._circuit  # noqa: SLF001  nothing public gives it
    roles = [*network.input_params, *network.weight_params]
    named = evaluated.assign_parameters(dict(zip(evaluated.parameters, roles, strict=True)))
    terms = [_terms(observable, network.circuit) for observable in network.observables]
    prepared, restricted = prepare_with(named, terms)
    return QNNCircuit(
        prepared.circuit,
        tuple(network.input_params),
        tuple(network.weight_params),
        tuple(SparsePauliOp.from_list(list(one.items())) for one in restricted),
    )


def _terms(observable: Any, circuit: QuantumCircuit) -> dict[str, complex]:
    """An observable as Pauli strings; one of the circuit before its layout follows the layout."""
    before = getattr(circuit.layout, "_input_qubit_count", circuit.num_qubits)
    if getattr(observable, "num_qubits", None) == before != circuit.num_qubits:
        observable = observable.apply_layout(circuit.layout)
    try:
        (coerced,) = ObservablesArray([observable]).tolist()
    except (TypeError, ValueError) as error:
        raise CircuitError(f"one of its observables is none for estimators: {error}") from error
    return dict(pauli_strings(coerced))


def own_names(kind: type, base: type) -> list[str]:
    """What a subclass defines beside its constructor, sorted.

    Args:
        kind: The subclass, or the class itself.
        base: The class.
    """
    between = kind.__mro__[: kind.__mro__.index(base)]
    return sorted({name for one in between for name in vars(one)} - _PLAIN)


_PLAIN = {
    *("__init__", "__module__", "__qualname__", "__doc__", "__annotations__", "__dict__"),
    *("__weakref__", "__abstractmethods__", "_abc_impl", "__firstlineno__"),
    "__static_attributes__",
}
"""What every class has."""

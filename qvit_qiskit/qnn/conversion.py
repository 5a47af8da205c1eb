"""Models with stock quantum layers made ours, after the manner of torch's ``SyncBatchNorm``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN, NeuralNetwork
from torch import nn

from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.binding import PRIMITIVES, kind_of, runs_elsewhere
from qvit_qiskit.execution.parts import Place, places
from qvit_qiskit.execution.route import Route
from qvit_qiskit.qnn.linear import QuantumLinear, trained_weights
from qvit_qiskit.qnn.network import BroadcastEstimatorQNN
from qvit_qiskit.qnn.stock import broadcast_network, own_names

T = TypeVar("T")


def convert(model: nn.Module, backend: str | Route | None = None) -> nn.Module:
    """Put a `QuantumLinear` in the place of every stock ``TorchConnector`` over an `EstimatorQNN`.

    Wherever a connector or its network stands, also in lists and attributes, one of ours computes
    the same outputs from the same parameters: an optimizer that was made before goes on, and what
    was shared is shared. Networks on transpiled circuits are converted from their active qubits.
    The model is changed in place, or not at all where something cannot be converted.

    Values are exact from then on, or those of ``backend``: the estimator, the gradient and the
    precision that a stock network was built with are left behind. Results have the input's dtype.
    A network with ``input_gradients=False`` keeps it, and a warning names its layer, below which
    nothing is trained.

    Args:
        model: Any module.
        backend: Where the converted layers run: a profile, by name, or an open route; by default
            exact values on Aer. `qvit_qiskit.registry.route` binds them elsewhere.

    Returns:
        The model; a new layer where the model is itself a stock connector.

    Raises:
        CircuitError: If a quantum layer cannot be converted; all of them are named, each with the
            reason, and nothing is changed.
        ProfileError: If the profile is missing or malformed.
        RouteError: If the profile cannot be opened.

    Example:
        >>> import torch
        >>> from qiskit_machine_learning.circuit.library import qnn_circuit
        >>> from qiskit_machine_learning.connectors import TorchConnector
        >>> from qiskit_machine_learning.neural_networks import EstimatorQNN
        >>> from qvit_qiskit import convert
        >>> circuit, inputs, weights = qnn_circuit(2)
        >>> network = EstimatorQNN(
        ...     circuit=circuit, input_params=inputs, weight_params=weights, input_gradients=True
        ... )
        >>> model = convert(torch.nn.Sequential(torch.nn.Linear(4, 2), TorchConnector(network)))
        >>> model[1]
        QuantumLinear(custom, inputs=2, weights=8, route=aer-exact)
    """
    if not isinstance(model, nn.Module | NeuralNetwork):
        raise CircuitError(
            f"Expected a torch module to convert, but got a {type(model).__name__}. Pass the model "
            "itself; a list of models one by one."
        )
    route = registry.open(backend) if isinstance(backend, str) else backend
    holders = list(places(model, (TorchConnector, NeuralNetwork)))
    conversion = _Conversion(route)
    new = [(place, conversion.of(place)) for place in holders]
    if conversion.reasons:
        raise CircuitError(
            "Expected quantum layers that can be converted, but "
            f"{'; '.join(dict.fromkeys(conversion.reasons))}. Nothing was changed. Replace or "
            "take out what is named, or convert the other parts one by one: model.part = "
            "qvit_qiskit.convert(model.part)."
        )
    for place, replacement in new:
        if replacement is not None and place.put is not None:
            place.put(replacement)
    _tell(new, [place for place in holders if isinstance(place.held, PRIMITIVES)])
    return next((part for place, part in new if place.held is model and part is not None), model)


@dataclass
class _Conversion:
    """What the stock parts of a model become, each once, and why some become nothing."""

    route: Route | None
    reasons: list[str] = field(default_factory=list)
    _networks: dict[int, BroadcastEstimatorQNN] = field(default_factory=dict)
    _layers: dict[int, QuantumLinear] = field(default_factory=dict)

    def of(self, place: Place) -> Any:
        """What comes into a place instead of a stock connector or network; None for all else."""
        part = place.held
        if isinstance(part, (*PRIMITIVES, QuantumLinear)):
            return None
        network = part.neural_network if isinstance(part, TorchConnector) else part
        if not isinstance(network, EstimatorQNN):
            if runs_elsewhere(part) or runs_elsewhere(network):
                self._refuse(place, "only expectation values of an EstimatorQNN can be")
            return None
        if network is part and isinstance(part, BroadcastEstimatorQNN):
            return None
        if place.put is None and place.name:
            self._refuse(
                place, "it stands where nothing else can be put, e.g. in a tuple or a function"
            )
            return None
        try:
            return self._layer(part) if network is not part else self._network(network)
        except CircuitError as error:
            self._refuse(place, str(error).rstrip("."))
            return None

    def _refuse(self, place: Place, reason: str) -> None:
        name = repr(place.name) if place.name else "the model"
        self.reasons.append(f"{name} is a {kind_of(place.held)}: {reason}")

    def _network(self, network: EstimatorQNN) -> BroadcastEstimatorQNN:
        return _once(self._networks, network, lambda: broadcast_network(network, self.route))

    def _layer(self, connector: TorchConnector) -> QuantumLinear:
        return _once(self._layers, connector, lambda: self._made(connector))

    def _made(self, connector: TorchConnector) -> QuantumLinear:
        """A layer with the connector's own parameter, mode, hooks and attributes."""
        _check(connector)
        layer = QuantumLinear(self._network(connector.neural_network))
        layer.weight = trained_weights(connector)
        hooks = {
            name for name in vars(connector) if name.endswith(("_hooks", "_hooks_with_kwargs"))
        }
        kept = {"training", *hooks, *(vars(connector).keys() - vars(layer).keys())}
        layer.__dict__.update({name: vars(connector)[name] for name in kept})
        return layer


def _check(connector: TorchConnector) -> None:
    """Refuse a connector that does more than a stock one, or one of ours without a layer.

    Raises:
        CircuitError: With the reason.
    """
    base = next(kind for kind in type(connector).__mro__ if kind.__module__.startswith(_MAKERS))
    changed = own_names(type(connector), base)
    changed += sorted(name for name in vars(connector) if hasattr(base, name) and name not in _SET)
    if changed:
        raise CircuitError(f"it has {', '.join(changed)} of its own")
    held = {name for kind in _HELD for name in vars(connector)[kind]}
    extra = held - {"weight", "_weights"}
    if extra or not isinstance(trained_weights(connector), nn.Parameter):
        raise CircuitError(
            f"its weights are computed from something else ({', '.join(sorted(extra))}), or it "
            "holds more than its weights"
        )


_HELD = ("_parameters", "_buffers", "_modules")
_MAKERS = ("qiskit_machine_learning.", "qvit_qiskit.")
_SET = frozenset(vars(nn.Module()))
"""What the constructor of every module sets."""


def _once(made: dict[int, T], old: Any, make: Callable[[], T]) -> T:
    """What an object becomes, the same at every place."""
    if id(old) not in made:
        made[id(old)] = make()
    return made[id(old)]


def _tell(new: Sequence[tuple[Place, Any]], primitives: Sequence[Place]) -> None:
    """Warn of what the user may not have meant, each layer by its first name."""
    flat: dict[int, str] = {}
    for place, part in new:
        network = part.network if isinstance(part, QuantumLinear) else None
        if network is not None and network.num_inputs and not network.input_gradients:
            flat.setdefault(id(part), repr(place.name) if place.name else "the model")
    if flat:
        _warn(
            f"Expected layers that pass gradients on, but {', '.join(flat.values())} was built "
            "with input_gradients=False, which is kept: nothing below it is trained. If that is "
            "not meant, set layer.network.input_gradients = True."
        )
    if primitives:
        names = [f"{place.name!r} ({type(place.held).__name__})" for place in primitives]
        _warn(
            f"The model still holds {', '.join(names)}, which runs circuits on its own: evaluate, "
            "submit and compare refuse a model that does. Delete the attribute if nothing uses it "
            "any more."
        )


def _warn(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=4)

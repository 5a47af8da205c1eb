"""Which parts of a model a route can bind, and which it must refuse."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit_machine_learning.neural_networks import NeuralNetwork
from torch import nn

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.route import Route

_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


class Bindable(Protocol):
    """A layer, or the network in one, that runs where it is told to."""

    route: Route

    def bind(self, route: Route) -> None:
        """Run on another route from now on."""


def bindable(model: nn.Module) -> list[Bindable]:
    """Every part of a model that a route binds, each once.

    Modules are looked through, the lists, tuples and dicts of modules in their attributes, too.

    Args:
        model: Any module.

    Raises:
        RouteError: If a part runs circuits on an estimator of its own; its name is told.
    """
    found: dict[int, Bindable] = {}
    for name, part in _parts(model):
        network = getattr(part, "neural_network", None)
        for candidate in (part, network):
            if _runs_elsewhere(candidate):
                raise _refusal(name, candidate if network is None else part)
        target = part if network is None else network
        if hasattr(target, "bind") and hasattr(target, "route"):
            found[id(target)] = target
    return list(found.values())


def _runs_elsewhere(part: Any) -> bool:
    if isinstance(part, NeuralNetwork):
        return not (hasattr(part, "bind") and hasattr(part, "route"))
    # A primitive that a module calls itself, or PennyLane's torch layer.
    return isinstance(part, BaseEstimatorV2 | BaseSamplerV2) or hasattr(part, "qnode")


def _parts(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Modules, and what their attributes hold, by dotted name."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", model)]
    while waiting:
        name, part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        dot = f"{name}." if name else ""
        if isinstance(part, nn.Module):
            yield name, part
            waiting += [(f"{dot}{key}", child) for key, child in part.named_children()]
            own = {key: value for key, value in vars(part).items() if key not in _OWN}
            waiting += [(f"{dot}{key}", value) for key, value in own.items()]
        elif isinstance(part, dict):
            waiting += [(f"{name}[{key!r}]", value) for key, value in part.items()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += [(f"{name}[{k}]", value) for k, value in enumerate(part)]
        elif isinstance(part, NeuralNetwork | BaseEstimatorV2 | BaseSamplerV2):
            yield name, part


def _refusal(name: str, part: Any) -> RouteError:
    network = getattr(part, "neural_network", None)
    kind = type(part).__name__ + (f" over {type(network).__name__}" if network is not None else "")
    where = f"The layer {name!r}" if name else "The model"
    return RouteError(
        f"{where} is a {kind} of another make, which runs on an estimator of its own: a route "
        "cannot bind it, and its values would bear the name of a backend that they do not come "
        "from. Put qvit_qiskit.QuantumLinear(QNNCircuit(circuit, inputs, weights, observables)) "
        "in its place; load_state_dict takes its weights."
    )


_LOCK = threading.Lock()
_HOLDERS: dict[int, tuple[int, int]] = {}
"""By a part's identity the thread that has bound it, and how many times."""


@contextmanager
def held(parts: Sequence[Bindable]) -> Iterator[None]:
    """Keep other threads from binding these parts.

    Raises:
        RouteError: If another thread has bound one of them.
    """
    me = threading.get_ident()
    with _LOCK:
        if any(_HOLDERS.get(id(part), (me, 0))[0] != me for part in parts):
            raise RouteError(
                "Another thread has routed this model and is not done, and a layer runs on one "
                "route at a time. Give each thread its own copy.deepcopy(model)."
            )
        for part in parts:
            _HOLDERS[id(part)] = (me, _HOLDERS.get(id(part), (me, 0))[1] + 1)
    try:
        yield
    finally:
        with _LOCK:
            for part in parts:
                _, depth = _HOLDERS[id(part)]
                if depth > 1:
                    _HOLDERS[id(part)] = (me, depth - 1)
                else:
                    del _HOLDERS[id(part)]

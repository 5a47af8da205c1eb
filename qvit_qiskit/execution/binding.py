"""Which parts of a model a route can bind, and which it must refuse."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import getattr_static
from typing import Any, Protocol

from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.providers import BackendV2
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN, NeuralNetwork
from torch import nn

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.parts import places
from qvit_qiskit.execution.route import Route


class Bindable(Protocol):
    """A layer, or the network in one, that runs where it is told to."""

    route: Route

    def bind(self, route: Route) -> None:
        """Run on another route from now on."""


def bindable(model: nn.Module) -> list[Bindable]:
    """Every part of a model that a route binds, each once.

    Modules are looked through, and the containers, plain objects and functions in their
    attributes, too.

    Args:
        model: Any module.

    Raises:
        RouteError: If a part runs circuits on an estimator of its own; its name is told.
    """
    parts: dict[int, Bindable] = {}
    for place in places(model):
        part = place.held
        network = part.neural_network if isinstance(part, TorchConnector) else None
        if runs_elsewhere(part) or runs_elsewhere(network):
            raise _refusal(place.name, part)
        target: Any = part if network is None else network
        if isinstance(target, _ROUTED) and _routed(target):
            parts[id(target)] = target
    return list(parts.values())


_ROUTED: Any = (nn.Module, NeuralNetwork)


def _routed(part: Any) -> bool:
    """Whether a part has a route of ours; one with such names of its own has another."""
    if not callable(getattr(type(part), "bind", None)):
        return False
    try:
        return isinstance(part.route, Route)
    except Exception:  # somebody else's property
        return False


def runs_elsewhere(part: Any) -> bool:
    """Whether an object of a model runs circuits on something of its own."""
    if isinstance(part, NeuralNetwork):
        return not _routed(part)
    if isinstance(part, PRIMITIVES):
        return True  # a module calls it itself
    return isinstance(part, nn.Module) and getattr_static(part, "qnode", None) is not None


PRIMITIVES = (BaseEstimatorV2, BaseSamplerV2, BackendV2)
"""What runs circuits where no route can tell it to."""


def kind_of(part: Any) -> str:
    """What an object is, for messages: a connector is told with its network."""
    network = part.neural_network if isinstance(part, TorchConnector) else None
    return type(part).__name__ + (f" over {type(network).__name__}" if network is not None else "")


def _refusal(name: str, part: Any) -> RouteError:
    network = part.neural_network if isinstance(part, TorchConnector) else part
    where = f"The layer {name!r}" if name else "The model"
    way = (
        "Put qvit_qiskit.QuantumLinear(QNNCircuit(circuit, inputs, weights, observables)) in its "
        "place."
    )
    if isinstance(network, EstimatorQNN):
        way = (
            "Write model = qvit_qiskit.convert(model): it puts a QuantumLinear of the same "
            "circuit and weights in its place."
        )
    return RouteError(
        f"{where} is a {kind_of(part)} of another make, which runs on an estimator of its own: a "
        "route cannot bind it, and its values would bear the name of a backend that they do not "
        f"come from. {way}"
    )


_LOCK = threading.Lock()


@dataclass(eq=False)
class _Frame:
    """A route that is open on a part."""

    holder: tuple[int, int]
    """The thread and the asyncio task that opened it."""
    before: Route
    """What the part had before."""


_OPEN: dict[int, list[_Frame]] = {}
"""By a part's identity the routes that are open on it, the latest last."""


def _task() -> int:
    """The identity of the running asyncio task; 0 outside of one."""
    try:
        return id(asyncio.current_task())
    except RuntimeError:
        return 0


@contextmanager
def bound(parts: Sequence[Bindable], route: Route) -> Iterator[None]:
    """Bind parts to a route, and give them back what they had.

    Args:
        parts: The quantum layers and networks of a model.
        route: What they run on within the block.

    Raises:
        RouteError: If another thread or asyncio task has bound one of them; or, at the end, if a
            route that was opened later is still open.
    """
    me = (threading.get_ident(), _task())
    own = [_Frame(me, part.route) for part in parts]
    with _LOCK:
        if any(frame.holder != me for part in parts for frame in _OPEN.get(id(part), [])):
            raise RouteError(
                "Another thread or task has routed this model and is not done, and a layer runs on "
                "one route at a time. Give each its own copy.deepcopy(model)."
            )
        for part, frame in zip(parts, own, strict=True):
            _OPEN.setdefault(id(part), []).append(frame)
    try:
        for part in parts:
            part.bind(route)
        yield
    finally:
        with _LOCK:
            orderly = [_close(part, frame) for part, frame in zip(parts, own, strict=True)]
        if not all(orderly):
            raise RouteError(
                "Another route was opened on this model within this one and is still open: values "
                "in between may be of either. Close them in order, or give each its own "
                "copy.deepcopy(model)."
            )


def _close(part: Bindable, frame: _Frame) -> bool:
    """Take a route off a part; whether it was the one that was opened last."""
    frames = _OPEN[id(part)]
    place = next(k for k, other in enumerate(frames) if other is frame)
    last = place == len(frames) - 1
    if last:
        part.bind(frame.before)
    else:  # whoever stands on it gives back what was below
        frames[place + 1].before = frame.before
    del frames[place]
    if not frames:
        del _OPEN[id(part)]
    return last

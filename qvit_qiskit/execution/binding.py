"""Which parts of a model a route can bind, and which it must refuse."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from inspect import getattr_static
from types import FunctionType, MethodType
from typing import Any, Protocol

import numpy as np
import torch
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.providers import BackendV2
from qiskit_machine_learning.connectors import TorchConnector
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

    Modules are looked through, and the containers, plain objects and functions in their
    attributes, too.

    Args:
        model: Any module.

    Raises:
        RouteError: If a part runs circuits on an estimator of its own; its name is told.
    """
    found: dict[int, Bindable] = {}
    for name, part in _parts(model):
        network = part.neural_network if isinstance(part, TorchConnector) else None
        for candidate in (part, network):
            if _runs_elsewhere(candidate):
                raise _refusal(name, part)
        target = part if network is None else network
        if _routed(target):
            found[id(target)] = target
    return list(found.values())


def _routed(part: Any) -> bool:
    """Whether a part has a route of ours; one with such names of its own has another."""
    if not callable(getattr(type(part), "bind", None)):
        return False
    try:
        return isinstance(part.route, Route)
    except Exception:  # somebody else's property
        return False


def _runs_elsewhere(part: Any) -> bool:
    if isinstance(part, NeuralNetwork):
        return not _routed(part)
    if isinstance(part, _PRIMITIVES):
        return True  # a module calls it itself
    return isinstance(part, nn.Module) and getattr_static(part, "qnode", None) is not None


_PRIMITIVES = (BaseEstimatorV2, BaseSamplerV2, BackendV2)
_LEAVES = (str, bytes, int, float, complex, type(None), torch.Tensor, np.ndarray, np.generic, type)
_CONTAINERS = (list, tuple, set, frozenset, deque)
_LIBRARIES = ("torch", "numpy", "pandas", "qiskit", "builtins", "collections", "qvit_qiskit")
"""Objects of these packages hold no layer of the user's in their attributes."""


def _parts(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Modules and networks, and those that attributes hold, by dotted name."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", model)]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, _LEAVES) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(
            part, nn.Module | NeuralNetwork | BaseEstimatorV2 | BaseSamplerV2 | BackendV2
        ):
            yield name, part
        waiting += _inside(name, part)


def _inside(name: str, part: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds."""
    dot = f"{name}." if name else ""
    if isinstance(part, nn.Module):
        yield from ((f"{dot}{key}", child) for key, child in part.named_children())
        for kind in type(part).__mro__:
            if kind is not nn.Module and not kind.__module__.startswith(_LIBRARIES):
                yield from ((f"{dot}{key}", held) for key, held in vars(kind).items()
                            if isinstance(held, nn.Module | NeuralNetwork))  # fmt: skip
        own = vars(part).items()
        yield from ((f"{dot}{key}", held) for key, held in own if key not in _OWN)
    elif isinstance(part, Mapping):
        pairs = ((key, held) for key, held in part.items() if not isinstance(held, _LEAVES))
        yield from ((f"{name}[{key!r}]", held) for key, held in pairs)
    elif isinstance(part, _CONTAINERS):
        items = ((k, held) for k, held in enumerate(part) if not isinstance(held, _LEAVES))
        yield from ((f"{name}[{k}]", held) for k, held in items)
    elif isinstance(part, MethodType):
        yield name, part.__self__
    elif isinstance(part, FunctionType):
        for cell in part.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                yield name, cell.cell_contents
    elif isinstance(part, partial):
        yield from ((name, held) for held in (part.func, part.args, part.keywords))
    elif not type(part).__module__.startswith(_LIBRARIES):
        yield from ((f"{dot}{key}", held) for key, held in getattr(part, "__dict__", {}).items())


def _refusal(name: str, part: Any) -> RouteError:
    network = part.neural_network if isinstance(part, TorchConnector) else None
    kind = type(part).__name__ + (f" over {type(network).__name__}" if network is not None else "")
    where = f"The layer {name!r}" if name else "The model"
    return RouteError(
        f"{where} is a {kind} of another make, which runs on an estimator of its own: a route "
        "cannot bind it, and its values would bear the name of a backend that they do not come "
        "from. Put qvit_qiskit.QuantumLinear(QNNCircuit(circuit, inputs, weights, observables)) "
        "in its place; load_state_dict takes its weights."
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

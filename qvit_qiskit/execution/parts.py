"""What a model holds, wherever it stands: modules, and the objects in their attributes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from qiskit_machine_learning.neural_networks import NeuralNetwork
from torch import nn

_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""
_LEAVES = (str, bytes, int, float, complex, type(None), torch.Tensor, np.ndarray, np.generic, type)
_CONTAINERS = (list, tuple, set, frozenset, deque)
_WRITABLE = (list, deque)
_LIBRARIES = ("torch", "numpy", "pandas", "qiskit", "builtins", "collections", "qvit_qiskit")
"""Objects of these packages hold no layer of the user's in their attributes."""


@dataclass(frozen=True)
class Place:
    """Where a model holds an object."""

    name: str
    """Dotted, as in ``model.named_modules()``; empty for the model itself."""
    held: Any
    put: Callable[[Any], None] | None = None
    """Puts another object there; None where that is not possible, e.g. in a tuple or a closure."""


def places(model: nn.Module, closed: tuple[type, ...] = ()) -> Iterator[Place]:
    """Every place of a model that holds more than a value; an object at two places comes twice.

    Modules are looked through, and the containers, plain objects and functions in their
    attributes, too.

    Args:
        model: Any module.
        closed: Kinds of objects that are not looked into.
    """
    seen: set[int] = set()
    waiting = [Place("", model)]
    while waiting:
        place = waiting.pop()
        if isinstance(place.held, _LEAVES):
            continue
        yield place
        if id(place.held) not in seen and not isinstance(place.held, closed):
            seen.add(id(place.held))
            waiting += reversed(list(_inside(place.name, place.held)))


def _inside(name: str, part: Any) -> Iterator[Place]:
    """The places of an object."""
    dot = f"{name}." if name else ""
    if isinstance(part, nn.Module):
        children: dict[str, Any] = vars(part)["_modules"]
        yield from _of_dict(dot, children, list(children))
        for kind in type(part).__mro__:
            if kind is not nn.Module and not kind.__module__.startswith(_LIBRARIES):
                yield from (Place(f"{dot}{key}", held) for key, held in vars(kind).items()
                            if isinstance(held, nn.Module | NeuralNetwork))  # fmt: skip
        yield from _of_dict(dot, vars(part), [key for key in vars(part) if key not in _OWN])
    elif isinstance(part, Mapping):
        puts = partial(partial, part.__setitem__) if isinstance(part, dict) else _nowhere
        pairs = ((key, held) for key, held in part.items() if not isinstance(held, _LEAVES))
        yield from (Place(f"{name}[{key!r}]", held, puts(key)) for key, held in pairs)
    elif isinstance(part, _CONTAINERS):
        puts = partial(partial, part.__setitem__) if isinstance(part, _WRITABLE) else _nowhere
        items = ((k, held) for k, held in enumerate(part) if not isinstance(held, _LEAVES))
        yield from (Place(f"{name}[{k}]", held, puts(k)) for k, held in items)
    elif isinstance(part, MethodType):
        yield Place(name, part.__self__)
    elif isinstance(part, FunctionType):
        for cell in part.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                yield Place(name, cell.cell_contents)
    elif isinstance(part, partial):
        yield from (Place(name, held) for held in (part.func, part.args, part.keywords))
    elif not type(part).__module__.startswith(_LIBRARIES):
        attributes = getattr(part, "__dict__", {})
        yield from _of_dict(dot, attributes, list(attributes))


def _of_dict(dot: str, attributes: dict[str, Any], names: list[str]) -> Iterator[Place]:
    """The places of an object's attributes."""
    for key in names:
        yield Place(f"{dot}{key}", attributes[key], partial(attributes.__setitem__, key))


def _nowhere(key: object) -> None:
    """What puts an object into something that cannot be changed."""

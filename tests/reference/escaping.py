"""Which exceptions can leave a function, as far as its text tells.

What it raises itself counts, and what the package's functions that it calls document; those that
document nothing are looked into. Calls of values, whose class the text does not tell, are not
followed, so that the answer is a lower bound.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import textwrap
from types import FunctionType, ModuleType
from typing import Any

from qvit_qiskit import exceptions
from reference.docstring_parts import entries, sections


def documented(docstring: str | None) -> list[type[BaseException]]:
    """The exceptions below ``Raises:``."""
    names = entries(sections(docstring).get("Raises", ""))
    found = [getattr(exceptions, name, getattr(builtins, name, None)) for name in names]
    return [one for one in found if one is not None]


def plain(value: Any) -> Any:
    """The function behind a property, a class method or a decorator."""
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    value = getattr(value, "func", value) if not isinstance(value, type) else value
    return inspect.unwrap(value) if callable(value) else value


def escaping(
    function: FunctionType, owner: type | None = None, seen: frozenset[FunctionType] = frozenset()
) -> dict[type[BaseException], str]:
    """What can leave a function, each with the name of where it comes from.

    Args:
        function: The function.
        owner: The class whose method it is.
        seen: Functions that are being looked into.
    """
    if function in seen:
        return {}
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if not isinstance(tree, ast.FunctionDef):  # a method that a decorator made
        return {}
    text = _Text(function, tree, owner, seen | {function})
    for node in tree.body:
        text.read(node, ())
    return text.found


class _Text:
    """A function that is being read."""

    def __init__(
        self, function: FunctionType, tree: ast.FunctionDef, owner: type | None, seen: Any
    ) -> None:
        self.function, self.owner, self.seen = function, owner, seen
        self.found: dict[type[BaseException], str] = {}
        self.names: dict[str, Any] = vars(builtins) | function.__globals__
        self.names |= dict.fromkeys(inspect.signature(function).parameters)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                self.names |= {
                    one.asname or one.name: getattr(module, one.name, None) for one in node.names
                }

    def read(self, node: ast.AST, caught: tuple[type, ...]) -> None:
        """Note what can leave a part of the text, but for what is caught around it."""
        if isinstance(node, ast.Try):
            types = [self._value(one) for handler in node.handlers for one in _types(handler)]
            inner = (*caught, *(one for one in types if isinstance(one, type)))
            for part in node.body:
                self.read(part, inner)
            for part in (*node.handlers, *node.orelse, *node.finalbody):
                self.read(part, caught)
            return
        if isinstance(node, ast.Raise) and node.exc is not None:
            value = self._value(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            if isinstance(value, type):
                self._note([value], caught, self.function.__qualname__)
        if isinstance(node, ast.Call):
            self._call(plain(self._value(node.func)), caught)
        for part in ast.iter_child_nodes(node):
            self.read(part, caught)

    def _call(self, called: Any, caught: tuple[type, ...]) -> None:
        home = getattr(called, "__module__", None) or ""
        if home.split(".")[0] != self.function.__module__.split(".")[0]:
            return
        owner = self.owner
        stated = documented(getattr(called, "__doc__", None))
        if isinstance(called, type):
            owner, name = called, called.__qualname__
            makers = [vars(called).get(one) for one in ("__post_init__", "__init__")]
            called = next((one for one in makers if _ours(one)), None)
        else:
            name = called.__qualname__
        if stated or not isinstance(called, FunctionType):
            self._note(stated, caught, name)
        else:
            inner = escaping(called, owner, self.seen)
            for one, place in inner.items():
                self._note([one], caught, place)

    def _note(self, raised: list[Any], caught: tuple[type, ...], place: str) -> None:
        for one in raised:
            if issubclass(one, BaseException) and not issubclass(one, caught):
                self.found.setdefault(one, place)

    def _value(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                return inspect.getattr_static(self.owner, node.attr, None)
            base = self._value(node.value)
            return getattr(base, node.attr, None) if isinstance(base, ModuleType | type) else None
        return None


def _ours(value: Any) -> bool:
    """Whether a method stands in a file: those of data classes are made without one."""
    return isinstance(value, FunctionType) and not value.__code__.co_filename.startswith("<")


def _types(handler: ast.ExceptHandler) -> list[ast.expr]:
    if handler.type is None:
        return [ast.Name("BaseException")]
    return handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
